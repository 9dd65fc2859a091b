#include "engine/events/thread_image.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <utility>

#include "engine/events/output.hpp"

namespace memtool {
namespace {

constexpr std::size_t kChunkWords = std::size_t{1} << 15;
constexpr std::size_t kLongestEvent = 3;
constexpr std::uint64_t kCellsInLine = 8;
constexpr std::size_t kSpooledRuns = std::size_t{1} << 17;

}  // namespace

ThreadImageBuilder::ThreadImageBuilder(Touch touch, int descriptor, int spool)
    : descriptor_(descriptor), spool_(spool) {
  head_.magic = ThreadImageHeader::kMagic;
  head_.touch = static_cast<std::uint64_t>(touch);
  // A header of zeroes takes its place for now, so that an unfinished file is not a valid image.
  write(std::array<char, sizeof(ThreadImageHeader)>{}.data(), sizeof(ThreadImageHeader));
}

bool ThreadImageBuilder::concerns_object(Kind kind) noexcept {
  return kind == Kind::allocate || kind == Kind::allocate_zeroed || kind == Kind::reallocate ||
         kind == Kind::deallocate || kind == Kind::write;
}

void ThreadImageBuilder::scan(const TraceEvent* events, std::size_t count) {
  for (const TraceEvent* event = events; event != events + count; ++event) {
    const Kind kind = event->kind();
    if (!concerns_object(kind)) continue;
    if (scanned_ % 64 == 0) handed_.push_back(0);
    const auto thread = static_cast<std::uint32_t>(event->thread());
    if (kind == Kind::allocate || kind == Kind::allocate_zeroed) {
      sightings_->enter(event->object()) = {scanned_, thread};
    } else {
      Sighting& last = sightings_->live(event->object());
      if (last.thread != thread) handed_[last.event / 64] |= std::uint64_t{1} << last.event % 64;
      last = {scanned_, thread};
      if (kind == Kind::deallocate) sightings_->leave(event->object());
    }
    ++scanned_;
  }
}

void ThreadImageBuilder::append(const TraceEvent* events, std::size_t count) {
  sightings_.reset();
  for (const TraceEvent* event = events; event != events + count; ++event) take(*event);
}

ThreadImageBuilder::Lane& ThreadImageBuilder::lane_of(std::uint64_t thread) {
  while (lanes_.size() <= thread) lanes_.push_back(std::make_unique<Lane>());
  return *lanes_[thread];
}

void ThreadImageBuilder::take(const TraceEvent& event) {
  switch (event.kind()) {
    case Kind::scope_begin:  // with several threads, a scope's objects are freed one by one, as without scopes
    case Kind::scope_end:
    case Kind::scope_closed:
    case Kind::mark:
      return;
    case Kind::begin:
      return begin();
    case Kind::epilogue:
      return begin_epilogue();
    default:
      break;
  }
  Lane& lane = lane_of(event.thread());
  if (lane.entry.joined != 0)
    throw std::runtime_error("thread " + std::to_string(event.thread()) + " goes on after its end was waited for");
  if (event.thread() != run_lane_ || run_words_ >= kChunkWords) end_run();
  run_lane_ = event.thread();
  lane.seen = true;
  if (concerns_object(event.kind())) return take_object(event, lane);
  if (event.kind() == Kind::pace) return put(lane, word::make_pace(event.object()));
  if (event.kind() == Kind::thread_start || event.kind() == Kind::thread_join) return between_threads(event, lane);
  throw std::runtime_error("an event of the unknown kind " + std::to_string(static_cast<unsigned>(event.kind())));
}

void ThreadImageBuilder::between_threads(const TraceEvent& event, Lane& lane) {
  if (event.object() >= 1 << 16) throw std::runtime_error("more than 65,536 threads");
  const bool starts = event.kind() == Kind::thread_start;
  Lane& other = lane_of(event.object());
  if (starts && other.seen)
    throw std::runtime_error("thread " + std::to_string(event.object()) + " is started while it runs");
  if (starts) {
    other.entry.started_by = event.thread();
    other.seen = true;
  } else {
    other.entry.joined = 1;
  }
  put(lane, handover::make(starts ? handover::Act::start : handover::Act::join, 0, event.object()));
}

// Every statement about a part of the run counts from here.
void ThreadImageBuilder::begin() {
  if (head_.warm_lanes != 0 || in_epilogue_)
    throw std::runtime_error("what is measured begins twice, or in the epilogue");
  end_run();
  for (const auto& lane : lanes_) {
    if (!lane->seen) continue;
    LaneEntry& entry = lane->entry;
    entry.warm_words = entry.words;
    entry.body_operations = entry.remote_deallocations = 0;
    entry.stage = entry.joined != 0 ? LaneEntry::kGone : LaneEntry::kThere;
    head_.warm_lanes += entry.joined == 0;
  }
  head_.operations = head_.peak_operation = 0;
  peak_live_bytes_ = live_bytes_;
}

void ThreadImageBuilder::begin_epilogue() {
  if (in_epilogue_) throw std::runtime_error("a second epilogue");
  end_run();
  head_.body_runs = head_.runs;
  in_epilogue_ = true;
}

void ThreadImageBuilder::take_object(const TraceEvent& event, Lane& lane) {
  if (appended_ >= scanned_) throw std::runtime_error("more events than were scanned");
  if (event.kind() == Kind::allocate || event.kind() == Kind::allocate_zeroed) {
    allocate(event, lane);
  } else {
    Object& object = objects_.live(event.object());
    if (object.lane != event.thread()) {
      receive(object, event.object(), lane, static_cast<std::uint16_t>(event.thread()));
      lane.entry.remote_deallocations += event.kind() == Kind::deallocate;
    }
    if (event.kind() == Kind::write) {
      if (object.size > 0) put(lane, word::make(Kind::write, object.slot, event.size()));
    } else if (event.kind() == Kind::reallocate) {
      put(lane, word::make(Kind::reallocate, object.slot, 0));
      put(lane, word::wide(event.size(), object.log2_alignment));
      put(lane, object.size);
      count(lane, event.size(), object.size);
      object.size = event.size();
    } else {
      put_sized(lane, Kind::deallocate, Kind::deallocate_wide, object);
      count(lane, 0, object.size);
      lane.free_slots.push_back(object.slot);
    }
  }
  if ((handed_[appended_ / 64] >> appended_ % 64 & 1) != 0) publish(objects_.live(event.object()), lane);
  if (event.kind() == Kind::deallocate) objects_.leave(event.object());
  ++appended_;
}

void ThreadImageBuilder::allocate(const TraceEvent& event, Lane& lane) {
  if (in_epilogue_) throw std::runtime_error("an allocation in the epilogue");
  Object& object = objects_.enter(event.object());
  object = {.size = event.size(),
            .cell = 0,
            .slot = take_slot(lane),
            .lane = static_cast<std::uint16_t>(event.thread()),
            .log2_alignment = static_cast<std::uint8_t>(event.log2_alignment())};
  const bool zeroed = event.kind() == Kind::allocate_zeroed;
  put_sized(lane, event.kind(), zeroed ? Kind::allocate_zeroed_wide : Kind::allocate_wide, object);
  count(lane, event.size(), 0);
}

void ThreadImageBuilder::receive(Object& object, std::uint64_t number, Lane& lane, std::uint16_t to) {
  const std::uint16_t from = object.lane;
  object.lane = to;
  object.slot = take_slot(lane);
  put(lane, handover::make(handover::Act::receive, object.slot, object.cell));
  put(lane, handover::origin(number, from));
}

void ThreadImageBuilder::publish(Object& object, Lane& lane) {
  object.cell = take_cell(lane);
  put(lane, handover::make(handover::Act::publish, object.slot, object.cell));
  lane.free_slots.push_back(object.slot);
}

std::uint32_t ThreadImageBuilder::take_slot(Lane& lane) {
  if (!lane.free_slots.empty()) {
    const std::uint32_t slot = lane.free_slots.back();
    lane.free_slots.pop_back();
    return slot;
  }
  if (lane.entry.slots == word::kMostSlots) throw std::runtime_error("more than 2^28 objects are alive at once");
  return static_cast<std::uint32_t>(lane.entry.slots++);
}

// A lane takes whole cache lines of cells. Otherwise two lanes that publish in turn would write to the same line, and
// the replay would measure that.
std::uint64_t ThreadImageBuilder::take_cell(Lane& lane) {
  if (lane.next_cell == lane.end_cell) {
    if (head_.cells + kCellsInLine > handover::kMostCells)
      throw std::runtime_error("objects change threads more than 2^30 times");
    lane.next_cell = head_.cells;
    head_.cells += kCellsInLine;
    lane.end_cell = head_.cells;
  }
  return lane.next_cell++;
}

void ThreadImageBuilder::count(Lane& lane, std::uint64_t grown, std::uint64_t shrunk) {
  ++lane.entry.operations;
  live_bytes_ += grown;
  live_bytes_ -= shrunk;
  if (in_epilogue_) {
    ++head_.epilogue_operations;
    return;
  }
  ++lane.entry.body_operations;
  ++head_.operations;
  if (live_bytes_ <= peak_live_bytes_) return;
  peak_live_bytes_ = live_bytes_;
  head_.peak_operation = head_.operations;
}

void ThreadImageBuilder::put(Lane& lane, std::uint64_t word) {
  lane.words.push_back(word);
  ++lane.entry.words;
  if (!in_epilogue_) ++lane.entry.body_words;
  ++run_words_;
}

void ThreadImageBuilder::put_sized(Lane& lane, Kind kind, Kind wide, const Object& object) {
  const word::Sized words(kind, wide, object.slot, object.size, object.log2_alignment);
  for (std::size_t i = 0; i < words.count; ++i) put(lane, words.words[i]);
}

// Ends the words of one lane before another lane's turn. This happens between two events, so a full buffer is written
// here or at the next end, and no event is split between two chunks.
void ThreadImageBuilder::end_run() {
  if (run_words_ == 0) return;
  runs_.push_back(Run::make(run_lane_, std::exchange(run_words_, 0)));
  ++head_.runs;
  if (runs_.size() == kSpooledRuns) spool_runs();
  Lane& lane = *lanes_[run_lane_];
  if (lane.words.size() + kLongestEvent > kChunkWords) flush(lane);
}

void ThreadImageBuilder::flush(Lane& lane) {
  if (lane.words.empty()) return;
  lane.chunks.push_back({offset_, lane.words.size()});
  write(lane.words.data(), lane.words.size() * sizeof(std::uint64_t));
  lane.words.clear();
}

void ThreadImageBuilder::write(const void* data, std::size_t bytes) {
  write_at(descriptor_, data, bytes, offset_);
  offset_ += bytes;
}

// If threads take turns often, there are as many runs as events, too many to keep in memory.
void ThreadImageBuilder::spool_runs() {
  write_at(spool_, runs_.data(), runs_.size() * sizeof(Run), (head_.runs - runs_.size()) * sizeof(Run));
  runs_.clear();
}

void ThreadImageBuilder::copy_runs() {
  runs_.resize(kSpooledRuns);
  for (std::uint64_t done = 0; done < head_.runs;) {
    const auto now = static_cast<std::size_t>(std::min<std::uint64_t>(kSpooledRuns, head_.runs - done));
    read_at(spool_, runs_.data(), now * sizeof(Run), done * sizeof(Run));
    write(runs_.data(), now * sizeof(Run));
    done += now;
  }
}

const ThreadImageHeader& ThreadImageBuilder::finish() {
  if (appended_ != scanned_) throw std::runtime_error("fewer events than were scanned");
  end_run();
  if (!in_epilogue_) head_.body_runs = head_.runs;
  spool_runs();
  std::vector<LaneEntry> entries;
  std::vector<ChunkEntry> chunks;
  for (const auto& lane : lanes_) {
    flush(*lane);
    lane->entry.first_chunk = chunks.size();
    lane->entry.chunks = lane->chunks.size();
    chunks.insert(chunks.end(), lane->chunks.begin(), lane->chunks.end());
    entries.push_back(lane->entry);
  }
  head_.lanes = entries.size();
  head_.chunks = chunks.size();
  head_.lanes_offset = offset_;
  write(entries.data(), entries.size() * sizeof(LaneEntry));
  head_.chunks_offset = offset_;
  write(chunks.data(), chunks.size() * sizeof(ChunkEntry));
  head_.runs_offset = offset_;
  copy_runs();
  write_at(descriptor_, &head_, sizeof head_, 0);
  return head_;
}

}  // namespace memtool
