#include "kinds/graph/collectors/boehm.hpp"

#include <stdexcept>
#include <string>

#include "kinds/library.hpp"

namespace memtool::graph {
namespace {

// The functions of gc.h, version 8.
struct Functions {
  Library library{kBoehmLibrary.data()};
  void* (*malloc)(std::size_t) = library["GC_malloc"];
  void* (*malloc_atomic)(std::size_t) = library["GC_malloc_atomic"];
  void (*init)() = library["GC_init"];
  void (*gcollect)() = library["GC_gcollect"];
  void (*disable)() = library["GC_disable"];
  void (*enable)() = library["GC_enable"];
  void (*add_roots)(void*, void*) = library["GC_add_roots"];
  void (*remove_roots)(void*, void*) = library["GC_remove_roots"];
  int (*expand_hp)(std::size_t) = library["GC_expand_hp"];
  std::size_t (*get_heap_size)() = library["GC_get_heap_size"];
  void (*set_max_heap_size)(std::size_t) = library["GC_set_max_heap_size"];
  void (*set_all_interior_pointers)(int) = library["GC_set_all_interior_pointers"];
  void (*set_no_dls)(int) = library["GC_set_no_dls"];
  void (*set_dont_expand)(int) = library["GC_set_dont_expand"];
  void (*set_markers_count)(unsigned) = library["GC_set_markers_count"];
  void (*set_warn_proc)(void (*)(char*, std::uintptr_t)) = library["GC_set_warn_proc"];
  void (*set_on_collection_event)(void (*)(int)) = library["GC_set_on_collection_event"];

  Functions() {
    if (!library.is_there()) throw std::runtime_error(dlerror());
    if (library.missing() != nullptr)
      throw std::runtime_error(std::string(kBoehmLibrary) + " has no " + library.missing());
  }
};

Telemetry* g_telemetry = nullptr;
std::uint64_t g_begin = 0;
std::uint64_t g_processor = 0;

void note(int event) {
  constexpr int kStart = 0;
  constexpr int kEnd = 5;
  if (g_telemetry == nullptr) return;
  if (event == kStart) {
    g_processor = g_telemetry->processor_time();
    g_begin = g_telemetry->clock.start();
  }
  if (event != kEnd) return;
  ++g_telemetry->collections;
  const std::uint64_t end = g_telemetry->clock.stop();
  g_telemetry->pauses.push_back({g_begin, end, Cause::whole, g_telemetry->processor_time() - g_processor});
}

const Functions& functions() {
  static const Functions loaded;
  return loaded;
}

class Boehm : public PlainRoots<Boehm> {
 public:
  static constexpr bool kIsExplicit = false;

  explicit Boehm(Surroundings& in) : PlainRoots<Boehm>(in.roots.first), gc_(functions()), in_(in) {
    begin_once();
    gc_.set_on_collection_event(note);
    gc_.add_roots(in.roots.first, in.roots.first + in.roots.count);
    gc_.gcollect();  // left by an earlier replay
    gc_.set_max_heap_size(in.settings.limit);
    const std::size_t has = gc_.get_heap_size();
    if (has < in.settings.limit) static_cast<void>(gc_.expand_hp(in.settings.limit - has));
    gc_.set_dont_expand(1);
    g_telemetry = &in.telemetry;
  }
  ~Boehm() {
    g_telemetry = nullptr;
    gc_.remove_roots(in_.roots.first, in_.roots.first + in_.roots.count);
  }
  Boehm(const Boehm&) = delete;
  Boehm& operator=(const Boehm&) = delete;

  Object* allocate(std::uint32_t body, std::uint32_t references, std::uint32_t) {
    return static_cast<Object*>(references == 0 ? gc_.malloc_atomic(body) : gc_.malloc(body));
  }
  void write(Object* into, std::uint32_t field, Object* value) noexcept { field_of(into, field) = value; }
  void control(Control what) {
    if (what == Control::collect) gc_.gcollect();
    if (what == Control::disable) gc_.disable();
    if (what == Control::enable) gc_.enable();
  }
  void collect() { gc_.gcollect(); }

 private:
  void begin_once() const {
    static const bool is_begun = [this] {
      gc_.set_all_interior_pointers(0);  // references lead to the beginning of an object
      gc_.set_no_dls(1);                 // and none lies in the data of a library
      gc_.set_markers_count(1);          // no other row has helper threads
      gc_.set_warn_proc([](char*, std::uintptr_t) {});
      gc_.init();
      return true;
    }();
    static_cast<void>(is_begun);
  }
  const Functions& gc_;
  Surroundings& in_;
};

class AnyBoehm final : public AnyCollector {
 public:
  explicit AnyBoehm(Surroundings& in) : in_(in), boehm_(in) {}
  Outcome play(const Program& program) override { return graph::play(boehm_, program); }
  Outcome play_unguarded(const Program& program) override { return play(program); }
  void audit(const Program& program, Outcome& outcome, Audit& audit) override {
    Audited<Boehm> audited(boehm_, in_.roots.first, audit, 0);
    outcome = graph::play(audited, program);
    if (outcome.is_done) audited.look();
  }
  void collect() override { boehm_.collect(); }
  [[nodiscard]] std::uint64_t apart_bytes() const override { return 0; }
  void walk(const Visit&) override {}

 private:
  Surroundings& in_;
  Boehm boehm_;
};

}  // namespace

std::unique_ptr<AnyCollector> open_boehm(Surroundings& in) {
  return std::make_unique<AnyBoehm>(in);
}

}  // namespace memtool::graph
