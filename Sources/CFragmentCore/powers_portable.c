/* Powers of r without a carry-less multiplier: multiplication by a fixed r is linear, so a table does it. */
#include "field.h"
#include "linear_map.h"

void sfc_powers_portable(sfc_word r, sfc_word powers[SFC_POWERS]) {
    sfc_word images[128];
    sfc_word shifted = r;
    for (int k = 0; k < 128; k++) {
        images[k] = shifted;
        shifted = (shifted << 1) ^ (sfc_mask_of_bit((uint64_t)(shifted >> 127)) & 0x87);
    }
    sfc_linear_map times_r;
    sfc_linear_map_fill(&times_r, images);
    powers[0] = 1;
    for (int i = 1; i < SFC_POWERS; i++) powers[i] = sfc_linear_map_apply(&times_r, powers[i - 1]);
}
