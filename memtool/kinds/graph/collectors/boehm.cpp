#include "kinds/graph/collectors/boehm.hpp"

#include <dlfcn.h>

#include <stdexcept>
#include <string>

namespace memtool::graph {
namespace {

// The functions of gc.h, version 8.
struct Library {
  void* (*malloc)(std::size_t) = nullptr;
  void* (*malloc_atomic)(std::size_t) = nullptr;
  void (*init)() = nullptr;
  void (*gcollect)() = nullptr;
  void (*disable)() = nullptr;
  void (*enable)() = nullptr;
  void (*add_roots)(void*, void*) = nullptr;
  void (*remove_roots)(void*, void*) = nullptr;
  int (*expand_hp)(std::size_t) = nullptr;
  std::size_t (*get_heap_size)() = nullptr;
  void (*set_max_heap_size)(std::size_t) = nullptr;
  void (*set_all_interior_pointers)(int) = nullptr;
  void (*set_no_dls)(int) = nullptr;
  void (*set_dont_expand)(int) = nullptr;
  void (*set_markers_count)(unsigned) = nullptr;
  void (*set_warn_proc)(void (*)(char*, std::uintptr_t)) = nullptr;
  void (*set_on_collection_event)(void (*)(int)) = nullptr;

  Library() {
    void* library = dlopen(std::string(kBoehmLibrary).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) throw std::runtime_error(dlerror());
    const auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
      if (function == nullptr) throw std::runtime_error(std::string(kBoehmLibrary) + " has no " + name);
    };
    find(malloc, "GC_malloc");
    find(malloc_atomic, "GC_malloc_atomic");
    find(init, "GC_init");
    find(gcollect, "GC_gcollect");
    find(disable, "GC_disable");
    find(enable, "GC_enable");
    find(add_roots, "GC_add_roots");
    find(remove_roots, "GC_remove_roots");
    find(expand_hp, "GC_expand_hp");
    find(get_heap_size, "GC_get_heap_size");
    find(set_max_heap_size, "GC_set_max_heap_size");
    find(set_all_interior_pointers, "GC_set_all_interior_pointers");
    find(set_no_dls, "GC_set_no_dls");
    find(set_dont_expand, "GC_set_dont_expand");
    find(set_markers_count, "GC_set_markers_count");
    find(set_warn_proc, "GC_set_warn_proc");
    find(set_on_collection_event, "GC_set_on_collection_event");
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

const Library& library() {
  static const Library loaded;
  return loaded;
}

class Boehm : public PlainRoots<Boehm> {
 public:
  static constexpr bool kIsExplicit = false;

  explicit Boehm(Surroundings& in) : PlainRoots<Boehm>(in.roots.first), gc_(library()), in_(in) {
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
  const Library& gc_;
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
