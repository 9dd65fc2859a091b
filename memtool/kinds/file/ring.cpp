#include "kinds/file/ring.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>

#include <atomic>

#if __has_include(<linux/io_uring.h>)
#include <linux/io_uring.h>
#define MEMTOOL_HAS_RING 1
#else
#define MEMTOOL_HAS_RING 0
#endif

namespace memtool::file {

#if MEMTOOL_HAS_RING

struct Ring::Rings {
  Descriptor ring;
  std::byte* queue = nullptr;  // both rings lie in one mapping (Linux 5.4)
  std::size_t queue_bytes = 0;
  io_uring_sqe* entries = nullptr;
  std::size_t entries_bytes = 0;
  io_uring_params parameters{};

  ~Rings() {
    if (queue != nullptr) munmap(queue, queue_bytes);
    if (entries != nullptr) munmap(entries, entries_bytes);
  }
  [[nodiscard]] std::atomic_ref<std::uint32_t> number(std::uint32_t offset) const noexcept {
    return std::atomic_ref(*reinterpret_cast<std::uint32_t*>(queue + offset));
  }
  int enter(std::uint32_t submitted, std::uint32_t least_completed) const noexcept {
    for (;;) {
      const std::uint32_t flags = least_completed > 0 ? IORING_ENTER_GETEVENTS : 0;
      const long done = syscall(SYS_io_uring_enter, ring.number(), submitted, least_completed, flags, nullptr, 0);
      if (done >= 0) return 0;
      if (errno != EINTR && errno != EAGAIN) return errno;
    }
  }
};

const char* why_no_ring() noexcept {
  io_uring_params parameters{};
  const Descriptor ring(static_cast<int>(syscall(SYS_io_uring_setup, 1, &parameters)));
  if (!ring.is_open()) return std::strerror(errno);
  return (parameters.features & IORING_FEAT_SINGLE_MMAP) != 0 ? nullptr : "the kernel is older than Linux 5.4";
}

int Ring::open(std::uint32_t entries) noexcept {
  Rings& rings = *rings_;
  rings.ring.reset(static_cast<int>(syscall(SYS_io_uring_setup, entries, &rings.parameters)));
  if (!rings.ring.is_open()) return errno;
  const io_uring_params& known = rings.parameters;
  const std::size_t completions = known.cq_off.cqes + known.cq_entries * sizeof(io_uring_cqe);
  const std::size_t submissions = known.sq_off.array + known.sq_entries * sizeof(std::uint32_t);
  rings.queue_bytes = completions > submissions ? completions : submissions;
  rings.entries_bytes = known.sq_entries * sizeof(io_uring_sqe);
  const auto map = [&](std::size_t bytes, std::uint64_t what) {
    void* const mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, rings.ring.number(),
                              static_cast<off_t>(what));
    return mapped == MAP_FAILED ? nullptr : mapped;
  };
  rings.queue = static_cast<std::byte*>(map(rings.queue_bytes, IORING_OFF_SQ_RING));
  if (rings.queue == nullptr) return errno;
  rings.entries = static_cast<io_uring_sqe*>(map(rings.entries_bytes, IORING_OFF_SQES));
  return rings.entries == nullptr ? errno : 0;
}

int Ring::submit(bool writes, int file, std::byte* at, std::uint64_t bytes, std::uint64_t offset,
                 std::uint64_t slot) noexcept {
  const Rings& rings = *rings_;
  const auto& known = rings.parameters.sq_off;
  const auto tail = rings.number(known.tail);
  const std::uint32_t next = tail.load(std::memory_order_relaxed);
  const std::uint32_t index = next & rings.number(known.ring_mask).load(std::memory_order_relaxed);
  io_uring_sqe& entry = rings.entries[index];
  entry = {};
  entry.opcode = writes ? IORING_OP_WRITE : IORING_OP_READ;
  entry.fd = file;
  entry.addr = reinterpret_cast<std::uintptr_t>(at);
  entry.len = static_cast<std::uint32_t>(bytes);
  entry.off = offset;
  entry.user_data = slot;
  rings.number(known.array + index * static_cast<std::uint32_t>(sizeof(std::uint32_t)))
      .store(index, std::memory_order_relaxed);
  tail.store(next + 1, std::memory_order_release);
  return rings.enter(1, 0);
}

Ring::Done Ring::wait() noexcept {
  const Rings& rings = *rings_;
  const auto& known = rings.parameters.cq_off;
  const auto head = rings.number(known.head);
  const std::uint32_t next = head.load(std::memory_order_relaxed);
  while (rings.number(known.tail).load(std::memory_order_acquire) == next) {
    const int problem = rings.enter(0, 1);
    if (problem != 0) return {0, -problem};
  }
  const std::uint32_t mask = rings.number(known.ring_mask).load(std::memory_order_relaxed);
  const auto* const completions = reinterpret_cast<const io_uring_cqe*>(rings.queue + known.cqes);
  const Done done{completions[next & mask].user_data, completions[next & mask].res};
  head.store(next + 1, std::memory_order_release);
  return done;
}

#else

struct Ring::Rings {};
const char* why_no_ring() noexcept {
  return "memtool was built without the kernel's header for it";
}
int Ring::open(std::uint32_t) noexcept {
  return ENOSYS;
}
int Ring::submit(bool, int, std::byte*, std::uint64_t, std::uint64_t, std::uint64_t) noexcept {
  return ENOSYS;
}
Ring::Done Ring::wait() noexcept {
  return {0, -ENOSYS};
}

#endif

Ring::Ring() : rings_(std::make_unique<Rings>()) {}
Ring::~Ring() = default;

}  // namespace memtool::file

const char* memtool_ring_refusal() {
  return memtool::file::why_no_ring();
}
