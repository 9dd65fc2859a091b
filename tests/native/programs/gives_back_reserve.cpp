// Memory that is out: the handler gives back a reserve, and what the program does then is its own. Ends with status 3.
#include <cstddef>
#include <new>

namespace {

char* reserve = nullptr;

void gives_back_reserve() {
  if (reserve == nullptr) throw std::bad_alloc();
  delete[] reserve;
  reserve = nullptr;
}

}  // namespace

int main() {
  volatile std::size_t size = std::size_t{1} << 60;
  reserve = new char[5005];
  std::set_new_handler(gives_back_reserve);
  if (::operator new(size, std::nothrow) != nullptr) return 1;
  try {
    (void)::operator new(size, std::align_val_t{128});
    return 2;
  } catch (const std::bad_alloc&) {
  }
  delete[] new char[6006];
  return 3;
}
