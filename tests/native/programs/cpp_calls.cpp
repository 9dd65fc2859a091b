// new and delete in all their forms, one that throws, and a thread that frees what another has allocated.
#include <cstddef>
#include <new>
#include <thread>

struct alignas(128) Wide {
  char bytes[256];
};

int main() {
  char* one = new char;
  char* many = new char[1001];
  char* quiet = new (std::nothrow) char[2002];
  Wide* wide = new Wide;
  delete one;
  delete[] quiet;
  delete wide;
  std::thread([many] { delete[] many; }).join();
  try {
    volatile std::size_t size = std::size_t{1} << 60;
    (void)::operator new(size);
    return 1;
  } catch (const std::bad_alloc&) {
  }
  void* sized = ::operator new(3003);
  ::operator delete(sized, std::size_t{3003});
  return 0;
}
