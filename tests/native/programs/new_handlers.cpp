// Memory that is out is the program's affair: its own handler is asked, and what that throws is caught by whom the
// standard says, after which no exception is in flight.
#include <cstddef>
#include <exception>
#include <new>

namespace {

int asked = 0;

void gives_up_at_third() {
  if (++asked % 3 == 0) throw std::bad_alloc();
}

}  // namespace

extern "C" int with_handlers() {
  volatile std::size_t size = std::size_t{1} << 60;
  std::set_new_handler(gives_up_at_third);
  if (::operator new(size, std::nothrow) != nullptr || asked != 3) return 1;
  if (::operator new[](size, std::nothrow) != nullptr || asked != 6) return 2;
  if (::operator new(size, std::align_val_t{128}, std::nothrow) != nullptr || asked != 9) return 3;
  if (std::uncaught_exceptions() != 0) return 4;
  try {
    (void)::operator new(size);
    return 5;
  } catch (const std::bad_alloc&) {
    if (asked != 12 || std::uncaught_exceptions() != 0) return 6;
  }
  std::set_new_handler(nullptr);
  if (::operator new(size, std::nothrow) != nullptr || asked != 12) return 7;
  try {
    (void)::operator new(size, std::align_val_t{128});
    return 8;
  } catch (const std::bad_alloc&) {
  }
  return std::uncaught_exceptions();
}

int main() {
  return with_handlers();
}
