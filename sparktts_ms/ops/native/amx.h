// Intel's Advanced Matrix Extensions (AMX): products of tiles, registers of 16 rows of 64 bytes.
//
// Code between `#if SPARKTTS_AMX` and `#endif` runs only where `amx_permitted()`; it always needs
// another path, since the system may refuse.
#pragma once

#if defined(__AMX_TILE__) && defined(__AMX_INT8__) && defined(__AMX_BF16__) && defined(__linux__)
#define SPARKTTS_AMX 1
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#define SPARKTTS_AMX 0
#endif

#include <cstdint>

namespace sparktts {

constexpr int kTileRows = 16;
constexpr int kTileBytes = 64;      // of a row

#if SPARKTTS_AMX

// Whether this process may use tiles. Linux grants them on request, to threads that start later
// too, because their state makes every context switch larger.
inline bool amx_permitted() {
  constexpr int kRequestPermission = 0x1023, kTileData = 18;    // of asm/prctl.h and the processor
  static const bool permitted = syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  return permitted;
}

// The eight tiles of this thread while the object lives, for products of up to 32 rows:
//
//   0 1   sums of the first rows with the tiles 6 and 7      4   values of the first rows
//   2 3   sums of the second rows                            5   values of the second rows
//   6 7   weights of 16 outputs each: a row is 64 bytes of input, 4 (int8) or 2 (bf16) an output
//
// The first and the second rows are up to 16 each; a product takes as many cycles as it has rows.
// A row of values is `value_bytes`, up to 64, for which 6 and 7 have a quarter as many rows.
class Tiles {
 public:
  explicit Tiles(int first_rows = kTileRows, int second_rows = kTileRows,
                 int value_bytes = kTileBytes) {
    Configuration configuration = {};
    configuration.palette = 1;
    const int rows[8] = {first_rows, first_rows, second_rows, second_rows,
                         first_rows, second_rows, value_bytes / 4, value_bytes / 4};
    for (int tile = 0; tile < 8; ++tile)
      if (rows[tile] > 0) {
        const bool values = tile == 4 || tile == 5;
        configuration.row_bytes[tile] = static_cast<uint16_t>(values ? value_bytes : kTileBytes);
        configuration.rows[tile] = static_cast<uint8_t>(rows[tile]);
      }
    // GCC 12 takes the instruction to read only a part of the configuration
    asm volatile("" ::"r"(&configuration) : "memory");
    _tile_loadconfig(&configuration);
  }
  ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;

 private:
  struct alignas(64) Configuration {      // as the processor reads it
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  };
};

#else

inline bool amx_permitted() { return false; }

#endif

}  // namespace sparktts
