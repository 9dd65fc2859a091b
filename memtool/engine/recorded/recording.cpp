#include "engine/recorded/recording.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
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

}  // namespace

// A chunk that is being read: its next events, and where the record after them begins.
struct Recording::Stream {
  const std::uint8_t* memory;
  std::uint64_t bytes;
  std::uint64_t offset;  // in the file
  const std::uint8_t* at;
  std::uint64_t ticks;
  std::uint32_t thread;
  std::uint64_t address = 0;
  std::uint64_t low_bits = 0;
  std::uint64_t resident = kNotCounted;
  bool goes_on = false;  // what was read last belongs to a record that follows in any case
  unsigned count = 0;    // of `next`
  unsigned taken = 0;    // of those
  AddressEvent next[2] = {};
  std::uint64_t callers[MEMTOOL_CALLERS] = {};

  [[nodiscard]] const std::uint8_t* end() const noexcept { return memory + bytes; }
};

// What follows a record's first byte, as it is read; a chunk that ends too early leaves it incomplete.
class Recording::Body {
 public:
  explicit Body(Stream& stream) noexcept : stream_(stream), at_(stream.at) {}
  std::uint8_t byte() noexcept {
    if (at_ == stream_.end()) is_whole_ = false;
    return is_whole_ ? *at_++ : std::uint8_t{0};
  }
  std::uint64_t varint() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint8_t next = byte();
      value |= (next & std::uint64_t{0x7f}) << shift;
      if (next < 0x80) return value;
    }
    is_whole_ = false;
    return 0;
  }
  std::uint64_t address() noexcept {
    const std::uint64_t zigzag = varint();
    const std::uint64_t units = (stream_.address >> 3) + (zigzag >> 1 ^ (~(zigzag & 1) + 1));
    stream_.address = units << 3 | stream_.low_bits;
    stream_.low_bits = 0;
    return stream_.address;
  }
  std::uint64_t caller() noexcept {
    const std::uint8_t place = byte();
    if (place < MEMTOOL_CALLERS) return stream_.callers[place];
    return stream_.callers[place - MEMTOOL_CALLERS] = six_bytes();
  }
  std::uint64_t six_bytes() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 48; shift += 8) value |= std::uint64_t{byte()} << shift;
    return value;
  }
  void fail() noexcept { is_whole_ = false; }
  [[nodiscard]] const std::uint8_t* at() const noexcept { return at_; }
  [[nodiscard]] bool is_whole() const noexcept { return is_whole_; }

 private:
  Stream& stream_;
  const std::uint8_t* at_;
  bool is_whole_ = true;
};

Recording::Recording(int descriptor) : descriptor_(descriptor), head_(nullptr) {
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
  const std::uint64_t size = size_of_file(descriptor_);
  const std::uint32_t chunks =
      std::min<std::uint32_t>(__atomic_load_n(&head_->chunks, __ATOMIC_ACQUIRE), MEMTOOL_MOST_CHUNKS);
  for (; chunks_ < chunks; ++chunks_) {
    const std::uint64_t bytes = std::uint64_t{head_->chunk_units[chunks_]} * MEMTOOL_CHUNK_UNIT;
    unopened_.push_back({end_, bytes});
    end_ += bytes;
  }
  std::erase_if(unopened_, [&](const Place& place) {
    // The file may not have grown yet.
    return place.bytes == 0 || (place.offset + place.bytes <= size && open_chunk(place));
  });
}

bool Recording::open_chunk(const Place& place) {
  const auto* memory = static_cast<const std::uint8_t*>(map_file(descriptor_, place.offset, place.bytes));
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
    drop(stream);  // its writer has moved on to another one
  else
    waiting_.push_back(&stream);
}

void Recording::drop(Stream& stream) {
  munmap(const_cast<std::uint8_t*>(stream.memory), stream.bytes);
  // The disk takes back what has been read; where it cannot, the file stays as long as it is.
  (void)fallocate(descriptor_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(stream.offset),
                  static_cast<off_t>(stream.bytes));
  std::erase_if(streams_, [&](const auto& own) { return own.get() == &stream; });
}

// Reads the next record, which may be none of an event; false: it is not there yet, or never will be.
bool Recording::decode(Stream& stream) {
  if (stream.at == stream.end() || __atomic_load_n(stream.at, __ATOMIC_ACQUIRE) == 0) return false;
  Body body(stream);
  const std::uint64_t head = body.varint();
  stream.ticks += head >> MEMTOOL_KIND_BITS;
  AddressEvent event;
  event.ticks = stream.ticks;
  event.thread = stream.thread;
  event.is_cpp = static_cast<std::uint8_t>(head >> 4 & 1);
  read_body(stream, static_cast<unsigned>(head & 0xf), body, event);
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
  stream.goes_on = kind == MEMTOOL_STACK || kind == MEMTOOL_LOW_BITS || kind == MEMTOOL_RESIDENT;
  switch (kind) {
    case MEMTOOL_ALIGNED:
      event.log2_alignment = body.byte();
      [[fallthrough]];
    case MEMTOOL_ALLOCATE:
    case MEMTOOL_ZEROED:
      event.size = body.varint();
      event.address = body.address();
      event.caller = body.caller();
      return put(kind == MEMTOOL_ZEROED ? Seen::allocate_zeroed : Seen::allocate);
    case MEMTOOL_FREE:
      event.address = body.address();
      event.resident = std::exchange(stream.resident, kNotCounted);
      return put(Seen::free);
    case MEMTOOL_REALLOCATE: {
      event.address = body.address();
      put(Seen::reallocate_begin);
      event.size = body.varint();
      event.address = body.address();
      stream.ticks += body.varint();
      event.ticks = stream.ticks;
      event.caller = body.caller();
      return put(Seen::reallocate_end);
    }
    case MEMTOOL_REFUSED:
      event.size = body.varint();
      event.caller = body.caller();
      return put(Seen::refused);
    case MEMTOOL_MAP:
    case MEMTOOL_UNMAP:
      event.address = body.address();
      event.size = body.varint();
      return put(kind == MEMTOOL_MAP ? Seen::map : Seen::unmap);
    case MEMTOOL_THREAD:
      stream.thread = static_cast<std::uint32_t>(body.varint());
      (void)body.varint();
      return;
    case MEMTOOL_STARTS:
      event.size = body.varint();
      return put(Seen::thread_start);
    case MEMTOOL_STACK:
      return read_stack(body);
    case MEMTOOL_LOW_BITS:
      stream.low_bits = body.byte() & 7u;
      return;
    case MEMTOOL_RESIDENT:
      stream.resident = body.varint();
      return;
    case MEMTOOL_MOMENT:
      return put(seen_at(body.byte(), body));
    default:
      return body.fail();
  }
}

Seen Recording::seen_at(std::uint8_t moment, Body& body) {
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
  const std::uint64_t number = body.six_bytes();
  const std::uint8_t end = body.byte(), count = body.byte();
  std::uint64_t addresses[MEMTOOL_MOST_DEPTH];
  if (count > MEMTOOL_MOST_DEPTH) return body.fail();
  for (unsigned i = 0; i < count; ++i) addresses[i] = body.six_bytes();
  if (!body.is_whole() || stacks_.size() >= kMostStacks || !stacks_.insert(number).second) return;
  fresh_stacks_.insert(fresh_stacks_.end(), {number, end, count});
  fresh_stacks_.insert(fresh_stacks_.end(), addresses, addresses + count);
}

void Recording::take_stacks(std::vector<std::uint64_t>& to) {
  to.swap(fresh_stacks_);
  fresh_stacks_.clear();
}

}  // namespace memtool
