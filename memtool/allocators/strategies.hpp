// clang-format off
// The list of strategies: one line each, in the order in which they are listed to the user.
#include "allocators/strategies/null.hpp"
#include "allocators/strategies/malloc.hpp"
#include "allocators/strategies/new_delete.hpp"
#include "allocators/strategies/std_allocator.hpp"
#include "allocators/strategies/pool.hpp"
#include "allocators/strategies/bump.hpp"
#include "allocators/strategies/arena.hpp"
#include "allocators/strategies/stack.hpp"
#include "allocators/strategies/tlsf.hpp"
#include "allocators/strategies/half_fit.hpp"
#include "allocators/strategies/segregated_fit.hpp"
#include "allocators/strategies/buddy.hpp"
