/*
 * standalone.c: a fuzzer for compilers that bring none.
 *
 *     answers COUNT FILE...      run each file as it is, and COUNT changed copies of them
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t state = 88172645463325252u;

/* xorshift: the same changes in every run. */
static uint64_t
next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static size_t
change(uint8_t *data, size_t size)
{
	static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xfe, 0xff};

	for (uint64_t times = 1 + next() % 4; times > 0 && size > 1; times--) {
		size_t at = 1 + (size_t)(next() % (size - 1));

		switch (next() % 4) {
		case 0:
			data[at] ^= (uint8_t)(1u << next() % 8);
			break;
		case 1:
			data[at] = edges[next() % sizeof(edges)];
			break;
		case 2:
			memset(data + at, edges[next() % sizeof(edges)],
			    size - at < 4 ? size - at : 4);
			break;
		default:
			size = next() % 8 == 0 ? at : size;
		}
	}
	return size;
}

static size_t
load(const char *path, uint8_t *data)
{
	FILE *file = fopen(path, "rb");
	size_t size;

	if (file == NULL) {
		perror(path);
		exit(2);
	}
	size = fread(data, 1, LARGEST, file);
	fclose(file);
	return size;
}

/* A copy of just its size, so that a sanitizer sees whoever reads past it. */
static void
run(const uint8_t *data, size_t size)
{
	uint8_t *exact = malloc(size == 0 ? 1 : size);

	if (exact == NULL)
		exit(2);
	memcpy(exact, data, size);
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
}

int
main(int argc, char **argv)
{
	static uint8_t data[LARGEST], changed[LARGEST];
	long count = argc > 2 ? strtol(argv[1], NULL, 10) : 0;

	for (int n = 2; n < argc; n++) {
		size_t size = load(argv[n], data);

		run(data, size);
		for (long times = 0; times < count; times++) {
			memcpy(changed, data, size);
			run(changed, change(changed, size));
		}
	}
	return argc > 2 ? 0 : 2;
}
