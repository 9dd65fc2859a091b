// A persistent heap and a shared one, put to the test by processes that die.
//
//   persistent crashes SEED STEPS        ends at every single store of so many steps, and at one of the recovery
//   persistent kills FILE TIMES SEED     kills a process at a random moment, another opens the heap; prints a table
//   persistent damage TIMES SEED         changes one bit of what the heap keeps of itself; prints a table
//   persistent shared OPERATIONS KILLS   two processes on one heap; one of them is killed and started again so often
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "allocators/strategies/shared_heap.hpp"
#include "ledger.hpp"

namespace {

using namespace memtool;
using namespace memtool::persistent;

constexpr std::size_t kBytes = std::size_t{64} << 20;

// Ends the operation that it is in, as a kill does: at the store whose turn it is.
struct Crashing {
  static inline std::uint64_t left = 0;
  static inline jmp_buf back;
  static void store(std::uint64_t& where, std::uint64_t value) noexcept {
    if (left-- == 0) longjmp(back, 1);
    Stores::store(where, value);
  }
};

struct Mapping {
  // At a place of the kernel's choice, behind as many pages as are asked for: no two processes have it at the same one.
  explicit Mapping(int descriptor, std::uint64_t pages_before = 0) {
    void* before = mmap(nullptr, (pages_before + 1) << 21, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const int flags = descriptor < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    base = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, descriptor, 0);
    if (base == MAP_FAILED || before == MAP_FAILED) std::perror("mmap"), std::exit(1);
  }
  ~Mapping() { munmap(base, kBytes); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  void* base;
};

// ---- every single store

using CrashingHeap = OffsetHeap<Crashing>;

// Runs until the limit or the end; whether the limit was reached.
template <class Work>
bool crashes(std::uint64_t limit, Work work) {
  Crashing::left = limit;
  if (setjmp(Crashing::back) != 0) return true;
  work();
  return false;
}

int every_crash(std::uint64_t seed, std::uint64_t steps) {
  std::map<std::string_view, std::uint64_t> outcomes;
  const Mapping mapping(-1);
  for (std::uint64_t limit = 0;; ++limit) {
    madvise(mapping.base, kBytes, MADV_DONTNEED);
    const bool was_cut = crashes(limit, [&] {
      Region region(mapping.base, kBytes);
      CrashingHeap heap(region, false);
      Ledger<CrashingHeap, Crashing> ledger(heap);
      std::mt19937_64 random(seed);
      for (std::uint64_t i = 0; i < steps; ++i) ledger.step(random);
    });
    // The process that opens it may die as well.
    const bool was_cut_again = limit % 2 == 0 && crashes(limit / 2 % 97, [&] {
                                 Region region(mapping.base, kBytes);
                                 const CrashingHeap heap(region, false);
                               });
    Region region(mapping.base, kBytes);
    OffsetHeap<> heap(region, false);
    const Recovery recovery = heap.recovery();
    if (limit % 2 != 0)
      outcomes[recovery.was_new     ? "had not begun"
               : recovery.undone    ? "undone"
               : recovery.completed ? "completed"
                                    : "nothing"]++;
    if (was_cut_again) ++outcomes["recovery cut too"];
    if (heap.root() != 0 || !was_cut) Ledger<OffsetHeap<>, Stores>(heap).verify_all();
    heap.check();
    if (!was_cut) break;
  }
  for (const auto& [what, count] : outcomes)
    std::printf("%s: %llu\n", what.data(), static_cast<unsigned long long>(count));
  return 0;
}

// ---- kills

// Runs work() in a process of its own, which ends without what a process does at its end.
template <class Work>
pid_t start(Work work) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  work();
  _exit(0);
}

void work_until_killed(int descriptor, std::uint64_t seed) {
  const Mapping mapping(descriptor, seed % 61);
  Region region(mapping.base, kBytes, true);
  OffsetHeap<> heap(region, false);
  Ledger<OffsetHeap<>, Stores> ledger(heap);
  std::mt19937_64 random(seed);
  for (;;) ledger.step(random);
}

std::string opened_again(int descriptor, std::uint64_t seed) {
  const Mapping mapping(descriptor, seed % 53);
  Region region(mapping.base, kBytes, true);
  try {
    OffsetHeap<> heap(region, false);
    if (heap.root() != 0) Ledger<OffsetHeap<>, Stores>(heap).verify_all();
    const Recovery recovery = heap.recovery();
    heap.close();
    if (recovery.was_new) return "sound: there was no heap yet";
    if (recovery.was_clean) return "sound: it was closed, and not opened yet";
    if (recovery.undone) return "sound: an allocation was undone";
    if (recovery.completed) return "sound: an operation was completed";
    return recovery.recounted ? "sound: lists and counts were made anew" : "sound: no operation was under way";
  } catch (const BrokenInvariant& problem) {
    return std::string("damaged, and said so: ") + problem.what();
  } catch (const Wrong& problem) {
    return std::string("DAMAGED IN SILENCE: ") + problem.what();
  }
}

// What a process of its own says of the heap.
std::string asked_of_another(int descriptor, std::uint64_t seed) {
  int ends[2];
  if (pipe(ends) != 0) std::perror("pipe"), std::exit(1);
  const pid_t pid = start([&] {
    const std::string words = opened_again(descriptor, seed);
    static_cast<void>(!write(ends[1], words.data(), words.size()));
  });
  close(ends[1]);
  char words[512] = "";
  const ssize_t got = read(ends[0], words, sizeof words - 1);
  close(ends[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  return got > 0 ? words : "DAMAGED IN SILENCE: the process that opened it died";
}

int print(const std::map<std::string, std::uint64_t>& outcomes) {
  bool is_sound = true;
  for (const auto& [what, count] : outcomes) {
    std::printf("%6llu  %s\n", static_cast<unsigned long long>(count), what.c_str());
    is_sound = is_sound && what.find("SILENCE") == std::string::npos && !what.starts_with("damaged, and");
  }
  return is_sound ? 0 : 1;
}

int kills(const char* file, std::uint64_t times, std::uint64_t seed) {
  const int descriptor = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0 || ftruncate(descriptor, kBytes) != 0) return std::perror(file), 1;
  std::mt19937_64 random(seed);
  std::map<std::string, std::uint64_t> outcomes;
  for (std::uint64_t i = 0; i < times; ++i) {
    const pid_t pid = start([&] { work_until_killed(descriptor, seed + i); });
    usleep(static_cast<useconds_t>(random() % 8000));
    kill(pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
      ++outcomes[asked_of_another(descriptor, seed + i)];
    } else {
      ++outcomes["DAMAGED IN SILENCE: the process had ended before it was killed"];
    }
  }
  close(descriptor);
  return print(outcomes);
}

// ---- damage

// A bit of the head, or of the head and the bitmap of a run.
std::uint64_t bit_of_books(std::mt19937_64& random, const std::byte* base) {
  if (random() % 4 == 0) return random() % (offsetof(Head, lock) * 8);
  std::vector<Offset> runs;
  for_each_run(base, [&](Offset at, const ChunkHead&, State) { runs.push_back(at); });
  const Offset at = runs[random() % runs.size()];
  const State state = State::read(chunk_of(base, at).state);
  const std::uint64_t books = kHeadOfChunk + (state.kind() == Kind::slab ? words_of_class(state.size_class()) * 8 : 0);
  return (at + random() % books) * 8 + random() % 8;
}

std::string damaged(std::byte* base, std::uint64_t bit) {
  base[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
  Region region(base, kBytes);
  try {
    OffsetHeap<> heap(region, false);
    if (heap.recovery().was_new) return "said: the region holds no heap";
    Ledger<OffsetHeap<>, Stores>(heap).verify_all();
    return "of no consequence: nothing is lost, and all that is there is right";
  } catch (const BrokenInvariant& problem) {
    std::string words = problem.what();
    const auto colon = words.find(": ");
    return "said: " + (words.starts_with("the run at byte") ? "the run at byte N" + words.substr(colon) : words);
  } catch (const Wrong& problem) {
    return std::string("DAMAGED IN SILENCE: ") + problem.what();
  }
}

int damage(std::uint64_t times, std::uint64_t seed) {
  const Mapping original(-1), copy(-1);
  std::mt19937_64 random(seed);
  auto* base = static_cast<std::byte*>(original.base);
  std::size_t used = 0;
  {
    Region region(base, kBytes);
    OffsetHeap<> heap(region, false);
    Ledger<OffsetHeap<>, Stores> ledger(heap);
    for (int i = 0; i < 2000; ++i) ledger.step(random);
    heap.close();
    used = region.used();
  }
  std::map<std::string, std::uint64_t> outcomes;
  for (std::uint64_t i = 0; i < times; ++i) {
    std::memcpy(copy.base, base, used);
    ++outcomes[damaged(static_cast<std::byte*>(copy.base), bit_of_books(random, base))];
  }
  return print(outcomes);
}

// ---- two processes

constexpr std::uint64_t kExchanged = 256;

// A block says in itself how long it is and what it holds, so that its offset is all that changes hands.
class Exchange {
 public:
  Exchange(SharedHeap& shared, std::uint64_t seed) : shared_(shared), random_(seed) {}

  void run(std::uint64_t operations) {
    for (std::uint64_t i = 0; i < operations; ++i) {
      std::atomic_ref slot(slots()[random_() % kExchanged]);
      const Offset other = slot.exchange(0, std::memory_order_acq_rel);
      if (other != 0) {
        verify(other);
        shared_.deallocate(shared_.heap().at(other));
        continue;
      }
      const std::size_t size = 16 + random_() % (random_() % 64 == 0 ? 100000 : 500);
      void* block = shared_.allocate(size, 16);
      if (block == nullptr) continue;
      fill(block, size);
      Offset expected = 0;
      if (!slot.compare_exchange_strong(expected, shared_.heap().offset_of(block), std::memory_order_acq_rel))
        shared_.deallocate(block);
    }
  }
  void verify(Offset offset) const {
    const auto* words = static_cast<const std::uint64_t*>(shared_.heap().at(offset));
    demand(words[0] >= 16 && words[0] < 100016, "a block does not say how long it is");
    for (std::uint64_t i = 1; i < words[0] / 8; ++i)
      demand(words[i] == (offset ^ words[0]) + i, "a block is not what the other process filled it with");
  }
  [[nodiscard]] Offset* slots() const { return static_cast<Offset*>(shared_.heap().at(shared_.heap().root())); }

 private:
  void fill(void* block, std::size_t size) const {
    auto* words = static_cast<std::uint64_t*>(block);
    words[0] = size;
    for (std::uint64_t i = 1; i < size / 8; ++i) words[i] = (shared_.heap().offset_of(block) ^ size) + i;
  }
  SharedHeap& shared_;
  std::mt19937_64 random_;
};

// A process that maps the heap for itself. Exit status 3: what it found was wrong.
pid_t start_user(int descriptor, std::uint64_t seed, std::uint64_t operations) {
  return start([=] {
    const Mapping mapping(descriptor, seed % 59 + 1);
    Region region(mapping.base, kBytes, true);
    try {
      SharedHeap shared(region);
      Exchange(shared, seed).run(operations);
    } catch (const std::exception& problem) {
      std::fprintf(stderr, "%s\n", problem.what());
      _exit(3);
    }
  });
}

int shared(std::uint64_t operations, std::uint64_t times) {
  const int descriptor = memfd_create("shared-heap", MFD_CLOEXEC);
  if (descriptor < 0 || ftruncate(descriptor, kBytes) != 0) return std::perror("memfd_create"), 1;
  const Mapping mapping(descriptor);
  Region region(mapping.base, kBytes, true);
  SharedHeap heap(region, Parameters(SharedHeap::info, ""));
  demand(heap.heap().allocate_into(heap.heap().root(), kExchanged * sizeof(Offset), 16) != 0, "no room");
  const pid_t steady = start_user(descriptor, 1, operations / 2);
  std::mt19937_64 random(times);
  for (std::uint64_t i = 0; i < times; ++i) {
    const pid_t victim = start_user(descriptor, 100 + i, ~std::uint64_t{0});
    usleep(static_cast<useconds_t>(random() % 3000));
    kill(victim, SIGKILL);
    waitpid(victim, nullptr, 0);
  }
  const pid_t other = start_user(descriptor, 2, operations - operations / 2);
  bool is_right = true;
  for (const pid_t pid : {steady, other}) {
    int status = 0;
    waitpid(pid, &status, 0);
    is_right = is_right && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  if (!is_right) return std::fprintf(stderr, "a process found what is wrong\n"), 1;
  static_cast<void>(heap.stats());  // takes the lock, of one that may have died with it
  heap.check();
  const Exchange exchange(heap, 0);
  std::uint64_t left = 0;
  for (std::uint64_t i = 0; i < kExchanged; ++i) {
    const Offset offset = exchange.slots()[i];
    if (offset == 0) continue;
    exchange.verify(offset);
    heap.deallocate(heap.heap().at(offset));
    ++left;
  }
  heap.check();
  const std::uint64_t lost = heap.stats().used_blocks - 1;
  std::printf("%llu operations of two processes, %llu kills: %llu blocks left and verified, %llu lost with the dead\n",
              static_cast<unsigned long long>(operations), static_cast<unsigned long long>(times),
              static_cast<unsigned long long>(left), static_cast<unsigned long long>(lost));
  // Each of the dead had one block in its hand at most.
  return lost <= times ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  const auto number = [&](int index) { return count > index ? std::strtoull(arguments[index], nullptr, 10) : 0; };
  const std::string_view what = count > 1 ? arguments[1] : "";
  try {
    if (what == "crashes" && count == 4) return every_crash(number(2), number(3));
    if (what == "kills" && count == 5) return kills(arguments[2], number(3), number(4));
    if (what == "damage" && count == 4) return damage(number(2), number(3));
    if (what == "shared" && count == 4) return shared(number(2), number(3));
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "%s\n", problem.what());
    return 1;
  }
  std::fprintf(stderr, "persistent crashes | kills | damage | shared ...\n");
  return 2;
}
