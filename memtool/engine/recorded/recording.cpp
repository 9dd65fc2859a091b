#include "engine/recorded/recording.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace memtool {

namespace {

void* map_file(int descriptor, std::uint64_t offset, std::uint64_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, descriptor, static_cast<off_t>(offset));
  if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category());
  return memory;
}

std::uint64_t size_of_file(int descriptor) {
  struct stat about{};
  if (fstat(descriptor, &about) != 0) throw std::system_error(errno, std::generic_category());
  return static_cast<std::uint64_t>(about.st_size);
}

std::uint64_t word_at(const std::uint8_t* at) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

}  // namespace

// A chunk that is being read: its next events, and the position of the next record.
struct Recording::Stream {
  const std::uint8_t* memory;
  std::uint64_t bytes;
  std::uint64_t offset;  // position in the file
  int descriptor;        // descriptor of the file
  const std::uint8_t* at;
  std::uint64_t ticks;
  std::uint32_t thread;
  std::uint64_t address = MEMTOOL_FIRST_ADDRESS;
  std::uint64_t resident = kNotCounted;
  // State of the words before the next one.
  std::uint64_t size = 0;
  std::uint64_t length = 0;
  std::uint8_t log2_alignment = 0;
  bool goes_on = false;  // the last word read belongs to a record that follows in any case
  unsigned count = 0;    // number of entries in `next`
  unsigned taken = 0;    // number of entries of `next` already taken
  AddressEvent next[2] = {};
  std::uint64_t callers[MEMTOOL_CALLERS] = {};

  [[nodiscard]] const std::uint8_t* end() const noexcept { return memory + bytes; }
};

// A word of a record, in the fields of its kind, and the bytes behind it. A chunk that ends too early leaves it
// incomplete.
class Recording::Body {
 public:
  explicit Body(Stream& stream) noexcept : stream_(stream), at_(stream.at) { word_ = next(); }
  [[nodiscard]] unsigned kind() const noexcept {
    return static_cast<unsigned>(word_ & ((1u << MEMTOOL_KIND_BITS) - 1));
  }
  [[nodiscard]] std::uint64_t field(unsigned from, unsigned bits) const noexcept {
    return word_ >> from & ((std::uint64_t{1} << bits) - 1);
  }
  [[nodiscard]] std::uint64_t number() const noexcept { return word_ >> MEMTOOL_HEAD_BITS; }
  // The ticks and the address of a block that is allocated or freed, from the word and the state of the stream.
  void hand_out(AddressEvent& event) noexcept {
    take_ticks(event, 6);
    event.address = move(24, MEMTOOL_OUT_BITS);
    event.size = std::exchange(stream_.size, 0) << MEMTOOL_SIZE_BITS | field(13, MEMTOOL_SIZE_BITS);
    event.log2_alignment = std::exchange(stream_.log2_alignment, std::uint8_t{0});
    event.caller = stream_.callers[field(6, MEMTOOL_CALLER_BITS)];
  }
  void give_back(AddressEvent& event) noexcept {
    take_ticks(event, 4);
    event.address = move(6, MEMTOOL_BACK_BITS);
  }
  // Returns the next 8 bytes of the record, or 0 if there are none.
  std::uint64_t next() noexcept {
    if (stream_.end() - at_ < kWord) is_whole_ = false;
    return is_whole_ ? word_at(std::exchange(at_, at_ + kWord)) : 0;
  }
  void fail() noexcept { is_whole_ = false; }
  [[nodiscard]] const std::uint8_t* at() const noexcept { return at_; }
  [[nodiscard]] bool is_whole() const noexcept { return is_whole_; }

 private:
  static constexpr std::ptrdiff_t kWord = sizeof(std::uint64_t);

  // The word has this many bytes, followed by the ticks if it has any.
  void take_ticks(AddressEvent& event, unsigned bytes) noexcept {
    const bool is_timed = (word_ & MEMTOOL_TIMED) != 0;
    if (is_timed) stream_.ticks += field(8 * bytes, MEMTOOL_TICKS_BITS);
    event.ticks = stream_.ticks;
    if (is_whole_) at_ -= kWord - static_cast<std::ptrdiff_t>(bytes + (is_timed ? MEMTOOL_TICKS_BITS / 8 : 0));
  }
  [[nodiscard]] std::uint64_t move(unsigned from, unsigned bits) const noexcept {
    const std::uint64_t units = field(from, bits), sign = std::uint64_t{1} << (bits - 1);
    return stream_.address += ((units ^ sign) - sign) << 3;
  }

  Stream& stream_;
  const std::uint8_t* at_;
  std::uint64_t word_ = 0;
  bool is_whole_ = true;
};

Recording::Recording(int descriptor, std::string beside)
    : descriptor_(descriptor), beside_path_(std::move(beside)), head_(nullptr) {
  if (size_of_file(descriptor) < sizeof(memtool_recording))
    throw std::runtime_error("is shorter than the head of a recording");
  head_ = static_cast<const memtool_recording*>(map_file(descriptor, 0, sizeof(memtool_recording)));
  if (__atomic_load_n(&head_->magic, __ATOMIC_ACQUIRE) == MEMTOOL_RECORDING_MAGIC) return;
  munmap(const_cast<memtool_recording*>(head_), sizeof *head_);
  throw std::runtime_error("is no recording that this version of memtool reads");
}

Recording::~Recording() {
  for (const auto& stream : streams_) munmap(const_cast<std::uint8_t*>(stream->memory), stream->bytes);
  munmap(const_cast<memtool_recording*>(head_), sizeof *head_);
  if (beside_ >= 0) close(beside_);
}

void Recording::read(std::uint64_t limit, std::size_t most, std::vector<AddressEvent>& to) {
  find_chunks();
  std::vector<Stream*> waiting;
  waiting.swap(waiting_);
  for (Stream* stream : waiting) queue(*stream);
  for (; most != 0 && !turns_.empty() && turns_.top().ticks < limit; --most) {
    Stream& stream = *turns_.top().stream;
    turns_.pop();
    to.push_back(stream.next[stream.taken++]);
    queue(stream);
  }
}

void Recording::find_chunks() {
  const std::uint32_t chunks =
      std::min<std::uint32_t>(__atomic_load_n(&head_->chunks, __ATOMIC_ACQUIRE), MEMTOOL_MOST_CHUNKS);
  for (; chunks_ < chunks; ++chunks_) {
    const unsigned units = head_->chunk_units[chunks_] & ~unsigned{MEMTOOL_IS_BESIDE};
    unopened_.push_back({end_, std::uint64_t{units} * MEMTOOL_CHUNK_UNIT, chunks_});
    end_ += unopened_.back().bytes;
  }
  std::erase_if(unopened_, [&](const Place& place) { return place.bytes == 0 || open_chunk(place); });
}

// Returns the file in which a chunk lies or will lie, as far as its writer has announced it; -1: there is none.
int Recording::descriptor_of(const Place& place) {
  if ((__atomic_load_n(&head_->chunk_units[place.number], __ATOMIC_ACQUIRE) & MEMTOOL_IS_BESIDE) == 0)
    return descriptor_;
  if (beside_ < 0 && !beside_path_.empty()) beside_ = open(beside_path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  return beside_;
}

bool Recording::open_chunk(const Place& place) {
  const int descriptor = descriptor_of(place);
  // The file may not have grown yet.
  if (descriptor < 0 || size_of_file(descriptor) < place.offset + place.bytes) return false;
  const auto* memory = static_cast<const std::uint8_t*>(map_file(descriptor, place.offset, place.bytes));
  const auto* chunk = reinterpret_cast<const memtool_chunk*>(memory);
  const std::uint64_t magic = __atomic_load_n(&chunk->magic, __ATOMIC_ACQUIRE);
  if (magic != MEMTOOL_CHUNK_MAGIC) {
    munmap(const_cast<std::uint8_t*>(memory), place.bytes);
    damaged_ += magic != 0;
    return magic != 0;
  }
  streams_.push_back(std::make_unique<Stream>(Stream{.memory = memory,
                                                     .bytes = place.bytes,
                                                     .offset = place.offset,
                                                     .descriptor = descriptor,
                                                     .at = memory + sizeof *chunk,
                                                     .ticks = chunk->ticks,
                                                     .thread = chunk->thread}));
  waiting_.push_back(streams_.back().get());
  return true;
}

void Recording::queue(Stream& stream) {
  if (stream.taken == stream.count) {
    stream.taken = stream.count = 0;
    while (stream.count == 0 && decode(stream)) {
    }
  }
  if (stream.count != 0)
    turns_.push({stream.next[stream.taken].ticks, stream.thread, &stream});
  else if (!stream.goes_on && stream.end() - stream.at <= std::ptrdiff_t{head_->least_room})
    drop(stream);  // its writer has moved on to another chunk
  else
    waiting_.push_back(&stream);
}

void Recording::drop(Stream& stream) {
  munmap(const_cast<std::uint8_t*>(stream.memory), stream.bytes);
  // Frees the disk space of what has been read. If the file system cannot do this, the file keeps its size.
  (void)fallocate(stream.descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(stream.offset),
                  static_cast<off_t>(stream.bytes));
  std::erase_if(streams_, [&](const auto& own) { return own.get() == &stream; });
}

// Reads the next word, which may belong to no event. Returns false if it is not there yet, or never will be.
bool Recording::decode(Stream& stream) {
  if (stream.end() - stream.at < 2) return false;
  if (__atomic_load_n(reinterpret_cast<const std::uint16_t*>(stream.at), __ATOMIC_ACQUIRE) == 0) return false;
  Body body(stream);
  AddressEvent event;
  event.ticks = stream.ticks;
  event.thread = stream.thread;
  unsigned kind = body.kind();
  if (kind >= MEMTOOL_CPP && kind < MEMTOOL_WIDE_SIZE) {
    kind -= MEMTOOL_CPP;
    event.is_cpp = 1;
  }
  read_body(stream, kind, body, event);
  if (!body.is_whole()) {
    ++damaged_;
    stream.count = 0;
    stream.at = stream.end();
    return false;
  }
  stream.at = body.at();
  return true;
}

void Recording::read_body(Stream& stream, unsigned kind, Body& body, AddressEvent event) {
  const auto put = [&](Seen seen) {
    event.kind = seen;
    stream.next[stream.count++] = event;
  };
  stream.goes_on = kind >= MEMTOOL_WIDE_SIZE || kind == MEMTOOL_STACK || kind == MEMTOOL_RESIDENT;
  switch (kind) {
    case MEMTOOL_ALLOCATE:
    case MEMTOOL_ALIGNED:
    case MEMTOOL_ZEROED:
      body.hand_out(event);
      return put(kind == MEMTOOL_ZEROED ? Seen::allocate_zeroed : Seen::allocate);
    case MEMTOOL_FREE:
      body.give_back(event);
      event.resident = std::exchange(stream.resident, kNotCounted);
      return put(Seen::free);
    case MEMTOOL_REALLOCATE:
      body.give_back(event);
      stream.goes_on = true;
      return put(Seen::reallocate_begin);
    case MEMTOOL_BECOMES:
      body.hand_out(event);
      return put(Seen::reallocate_end);
    case MEMTOOL_REFUSED:
      body.hand_out(event);
      event.address = 0;
      return put(Seen::refused);
    case MEMTOOL_MAP:
    case MEMTOOL_UNMAP:
      body.give_back(event);
      event.size = std::exchange(stream.length, 0);
      return put(kind == MEMTOOL_MAP ? Seen::map : Seen::unmap);
    case MEMTOOL_THREAD:
      stream.thread = static_cast<std::uint32_t>(body.number());
      return;
    case MEMTOOL_STARTS:
      event.size = body.number();
      return put(Seen::thread_start);
    case MEMTOOL_STACK:
      return read_stack(body);
    case MEMTOOL_RESIDENT:
      stream.resident = body.number();
      return;
    case MEMTOOL_MOMENT:
      return put(seen_at(body.number(), body));
    case MEMTOOL_WIDE_SIZE:
      stream.size = body.number();
      return;
    case MEMTOOL_ALIGNMENT:
      stream.log2_alignment = static_cast<std::uint8_t>(body.number() & 63u);
      return;
    case MEMTOOL_WIDE_CALLER:
      stream.callers[body.field(6, MEMTOOL_CALLER_BITS)] = body.field(13, 51);
      return;
    case MEMTOOL_WIDE_ADDRESS:
      stream.address = body.number();
      return;
    case MEMTOOL_WIDE_TICKS:
      stream.ticks += body.number();
      return;
    case MEMTOOL_LENGTH:
      stream.length = body.number();
      return;
    default:
      return body.fail();
  }
}

Seen Recording::seen_at(std::uint64_t moment, Body& body) {
  switch (moment) {
    case MEMTOOL_OFF:
      return Seen::off;
    case MEMTOOL_ON:
      return Seen::on;
    case MEMTOOL_FORKS:
      return Seen::fork;
    case MEMTOOL_ENDS:
      return Seen::thread_end;
    default:
      body.fail();
      return Seen::off;
  }
}

void Recording::read_stack(Body& body) {
  const std::uint64_t number = body.field(6, 47), end = body.field(53, 2), count = body.field(55, 7);
  std::uint64_t addresses[MEMTOOL_MOST_DEPTH];
  if (count > MEMTOOL_MOST_DEPTH) return body.fail();
  for (unsigned i = 0; i < count; ++i) addresses[i] = body.next();
  if (!body.is_whole() || stacks_.size() >= kMostStacks || !stacks_.insert(number).second) return;
  fresh_stacks_.insert(fresh_stacks_.end(), {number, end, count});
  fresh_stacks_.insert(fresh_stacks_.end(), addresses, addresses + count);
}

void Recording::take_stacks(std::vector<std::uint64_t>& to) {
  to.swap(fresh_stacks_);
  fresh_stacks_.clear();
}

}  // namespace memtool
