#include "kinds/file/control_group.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace memtool::file {
namespace {

constexpr int kTries = 100;
constexpr useconds_t kPause = 10'000;

bool write_to(const char* path, const char* text) noexcept {
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const auto length = static_cast<ssize_t>(std::strlen(text));
  const bool done = write(file, text, std::strlen(text)) == length;
  const int problem = errno;
  close(file);
  errno = problem;
  return done;
}

}  // namespace

// memtool/kinds/file/place.py checks beforehand whether this is possible.
bool ControlGroup::enter(KernelCall& call, const char* folder, const char* home, std::uint64_t limit) {
  char path[700];
  char text[32];
  std::snprintf(own_, sizeof own_, "%s/memtool-%d", folder, getpid());
  std::snprintf(back_, sizeof back_, "%s/cgroup.procs", home);
  bool done = mkdir(own_, 0700) == 0;
  std::snprintf(text, sizeof text, "%llu", as_printed(limit));
  std::snprintf(path, sizeof path, "%s/memory.max", own_);
  if (done && access(path, F_OK) != 0) std::snprintf(path, sizeof path, "%s/memory.limit_in_bytes", own_);
  done = done && write_to(path, text);
  std::snprintf(path, sizeof path, "%s/cgroup.procs", own_);
  done = done && write_to(path, "0");
  if (!done)
    fail(call.result, MEMTOOL_BAD_REQUEST, "no control group that limits memory can be made at %s: %s", own_,
         std::strerror(errno));
  return done;
}

ControlGroup::~ControlGroup() {
  if (own_[0] == '\0') return;
  (void)write_to(back_, "0");
  // It takes a moment until the kernel considers the group empty.
  for (int attempt = 0; attempt < kTries && rmdir(own_) != 0 && errno == EBUSY; ++attempt) usleep(kPause);
}

}  // namespace memtool::file
