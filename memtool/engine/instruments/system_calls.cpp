#include "engine/instruments/system_calls.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "engine/abi/capi.h"

namespace memtool {
namespace {

// In the order of MEMTOOL_SYSTEM_CALLS.
constexpr std::array<int, MEMTOOL_SYSTEM_CALLS> kCounted{SYS_mmap,    SYS_munmap, SYS_mremap,
                                                         SYS_madvise, SYS_brk,    SYS_mprotect};
// The end of the replay is signalled by munmap of an address that no mapping can have. The call fails.
constexpr std::uint64_t kEndMarker = 1;

// Returns a descriptor on which the kernel reports each counted call, or -1 with errno.
int listen() noexcept {
  std::array<sock_filter, MEMTOOL_SYSTEM_CALLS + 3> program{};
  program[0] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  for (std::size_t i = 0; i < kCounted.size(); ++i)
    program[1 + i] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(kCounted[i]),
                              static_cast<unsigned char>(kCounted.size() - i), 0);
  program[1 + kCounted.size()] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  program[2 + kCounted.size()] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
  const sock_fprog filter{.len = program.size(), .filter = program.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  // Covers all threads, because a library may have started some already.
  constexpr unsigned long kThreadSync = 1ul << 0;
  constexpr unsigned long kNewListener = 1ul << 3;
  constexpr unsigned long kThreadSyncFails = 1ul << 4;  // Linux 5.7: allows both flags together
  return static_cast<int>(
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kThreadSync | kNewListener | kThreadSyncFails, &filter));
}

bool send_descriptor(int socket, int descriptor) noexcept {
  char byte = 0;
  iovec content{.iov_base = &byte, .iov_len = 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &content;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(head), &descriptor, sizeof descriptor);
  return sendmsg(socket, &message, MSG_NOSIGNAL) == 1;
}

}  // namespace

SystemCallCounter::SystemCallCounter(int socket) noexcept {
  // Between these two steps nothing may manage memory, because nobody would let the call proceed.
  const int listener = listen();
  if (listener < 0 || !send_descriptor(socket, listener)) refusal_ = std::strerror(errno);
}

void SystemCallCounter::stop() noexcept {
  syscall(SYS_munmap, kEndMarker, std::size_t{4096});
}

const char* memtool_system_calls_refusal() {
  // In a separate process, because a filter cannot be removed.
  const pid_t child = fork();
  if (child < 0) return std::strerror(errno);
  if (child == 0) _exit(listen() < 0 ? errno : 0);
  int status = 0;
  if (waitpid(child, &status, 0) != child) return std::strerror(errno);
  if (!WIFEXITED(status)) return "the process that tried was killed";
  return WEXITSTATUS(status) == 0 ? nullptr : std::strerror(WEXITSTATUS(status));
}

uint32_t memtool_count_system_calls(int listener, const volatile uint32_t* ended, uint64_t* counts) {
  constexpr int kPatienceMs = 100;
  bool counting = true;
  while (*ended == 0) {
    pollfd waiting{.fd = listener, .events = POLLIN, .revents = 0};
    const int ready = poll(&waiting, 1, kPatienceMs);
    if (ready < 0 && errno != EINTR) return static_cast<uint32_t>(errno);
    if (ready <= 0) continue;
    if ((waiting.revents & POLLIN) == 0) return 0;  // the process has ended
    seccomp_notif call{};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
      if (errno == ENOENT || errno == EINTR) continue;  // the calling thread was killed or interrupted
      return static_cast<uint32_t>(errno);
    }
    if (call.data.nr == SYS_munmap && call.data.args[0] == kEndMarker) counting = false;
    for (std::size_t i = 0; counting && i < kCounted.size(); ++i) counts[i] += call.data.nr == kCounted[i];
    seccomp_notif_resp go_on{};
    go_on.id = call.id;
    go_on.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &go_on) != 0 && errno != ENOENT && errno != EINTR)
      return static_cast<uint32_t>(errno);
  }
  return 0;
}

}  // namespace memtool
