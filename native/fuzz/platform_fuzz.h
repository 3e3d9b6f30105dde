/* platform_fuzz.h: what the daemon will answer. */
#ifndef KEYHOLM_PLATFORM_FUZZ_H
#define KEYHOLM_PLATFORM_FUZZ_H

#include <stddef.h>

/* First these bytes and then those, each frame without its first four. */
void fuzz_answers(const unsigned char *first, size_t first_size, const unsigned char *rest,
    size_t rest_size);

#endif
