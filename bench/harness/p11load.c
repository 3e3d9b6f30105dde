/*
 * p11load.c: load for any PKCS#11 module, and how long each call took.
 *
 *     p11load MODULE TOKEN PIN COMMAND [NUMBER...]
 *
 *     generate KIND FIRST COUNT             key pairs; CKA_ID is the number in four bytes
 *     sign KIND ID MILLISECONDS PAUSE THREADS   SignInit and Sign; microseconds between two
 *     find COUNT TIMES                      a private key by CKA_ID, one of COUNT
 *     list                                  every private key with CKA_ID and CKA_LABEL
 *     load                                  from dlopen to the first session
 *
 * KIND is 0 for P-256 and 1 for RSA-2048; PIN is - where nobody logs in. What was measured goes
 * to standard output: the nanoseconds of each, in their order; the first line is how many
 * seconds all of it took. Anything that fails ends it, with a sentence.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "calls.h"

#define MOST_TOKENS 64
#define MOST_THREADS 64
#define WARM_UP 100000000UL /* nanoseconds */
#define BATCH 256
#define CKM_RSA_PKCS_KEY_PAIR_GEN_ 0x0UL
#define CKM_RSA_PKCS_ 0x1UL
#define CKM_EC_KEY_PAIR_GEN_ 0x1040UL
#define CKM_ECDSA_ 0x1041UL
#define CKO_PRIVATE_KEY_ 3UL
#define CKA_CLASS_ 0x0UL
#define CKA_TOKEN_ 0x1UL
#define CKA_PRIVATE_ 0x2UL
#define CKA_LABEL_ 0x3UL
#define CKA_ID_ 0x102UL
#define CKA_SENSITIVE_ 0x103UL
#define CKA_SIGN_ 0x108UL
#define CKA_VERIFY_ 0x10AUL
#define CKA_MODULUS_BITS_ 0x121UL
#define CKA_EC_PARAMS_ 0x180UL
#define CKF_RW_SESSION_ 2UL
#define CKF_SERIAL_SESSION_ 4UL
#define CKF_OS_LOCKING_OK_ 2UL
#define CKU_USER_ 1UL
#define P256 0UL

static CK_FUNCTION_LIST *module;
static CK_SLOT_ID slot;

struct series {
	uint64_t *values;
	size_t count, room;
};

struct worker {
	pthread_t thread;
	struct series series;
	unsigned long kind, id, milliseconds, pause;
};

static uint64_t
now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000U + (uint64_t)time.tv_nsec;
}

static void
must(CK_RV rv, const char *what)
{
	if (rv == 0)
		return;
	(void)fprintf(stderr, "%s gave 0x%lx\n", what, rv);
	exit(1);
}

static void
fail(const char *what)
{
	(void)fprintf(stderr, "%s\n", what);
	exit(1);
}

static void
add(struct series *series, uint64_t value)
{
	if (series->count == series->room) {
		series->room = series->room ? 2 * series->room : 1024;
		series->values = realloc(series->values, series->room * sizeof(uint64_t));
		if (series->values == NULL)
			fail("no memory");
	}
	series->values[series->count++] = value;
}

static void
print(const struct series *series)
{
	for (size_t n = 0; n < series->count; n++)
		(void)printf("%llu\n", (unsigned long long)series->values[n]);
}

static void
print_all(const struct series *series, uint64_t begin)
{
	(void)printf("%.9f\n", (double)(now() - begin) / 1e9);
	print(series);
}

/* --- a module and a session ------------------------------------------------------------------ */

static void
load(const char *path)
{
	CK_RV (*list)(CK_FUNCTION_LIST **);
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	struct {
		void *mutexes[4];
		CK_FLAGS flags;
		void *reserved;
	} arguments = {{NULL}, CKF_OS_LOCKING_OK_, NULL};

	if (library == NULL)
		fail(dlerror());
	*(void **)&list = dlsym(library, "C_GetFunctionList");
	if (list == NULL)
		fail("it is no PKCS#11 module");
	must(list(&module), "C_GetFunctionList");
	must(module->C_Initialize(&arguments), "C_Initialize");
}

static void
choose(const char *label)
{
	CK_SLOT_ID slots[MOST_TOKENS];
	CK_ULONG count = MOST_TOKENS;
	CK_TOKEN_INFO info;
	size_t length = strlen(label);

	must(module->C_GetSlotList(CK_TRUE, slots, &count), "C_GetSlotList");
	for (CK_ULONG n = 0; n < count; n++) {
		if (module->C_GetTokenInfo(slots[n], &info) != 0 || length > sizeof(info.label) ||
		    memcmp(info.label, label, length) != 0)
			continue;
		slot = slots[n];
		return;
	}
	fail("there is no such token");
}

static CK_SESSION_HANDLE
open_session(void)
{
	CK_SESSION_HANDLE session;

	must(module->C_OpenSession(slot, CKF_SERIAL_SESSION_ | CKF_RW_SESSION_, NULL, NULL, &session),
	    "C_OpenSession");
	return session;
}

static void
log_in(CK_SESSION_HANDLE session, char *pin)
{
	if (strcmp(pin, "-") != 0)
		must(module->C_Login(session, CKU_USER_, (CK_BYTE *)pin, strlen(pin)), "C_Login");
}

static void
identify(CK_BYTE id[4], unsigned long number)
{
	for (int n = 0; n < 4; n++)
		id[n] = (CK_BYTE)(number >> (24 - 8 * n));
}

/* At most one: what is measured is a search, not a list. */
static CK_OBJECT_HANDLE
find(CK_SESSION_HANDLE session, unsigned long number)
{
	CK_BYTE id[4];
	CK_ULONG class = CKO_PRIVATE_KEY_, count;
	CK_OBJECT_HANDLE found;
	CK_ATTRIBUTE template[] = {
	    {CKA_CLASS_, &class, sizeof(class)},
	    {CKA_ID_, id, sizeof(id)},
	};

	identify(id, number);
	must(module->C_FindObjectsInit(session, template, 2), "C_FindObjectsInit");
	must(module->C_FindObjects(session, &found, 1, &count), "C_FindObjects");
	must(module->C_FindObjectsFinal(session), "C_FindObjectsFinal");
	if (count != 1)
		fail("there is no such key");
	return found;
}

/* --- commands -------------------------------------------------------------------------------- */

static void
generate(CK_SESSION_HANDLE session, unsigned long kind, unsigned long number)
{
	static CK_BYTE curve[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
	CK_BBOOL yes = CK_TRUE;
	CK_ULONG bits = 2048;
	CK_BYTE id[4];
	char label[32];
	int length = snprintf(label, sizeof(label), "key-%06lu", number);
	CK_MECHANISM mechanism = {kind == P256 ? CKM_EC_KEY_PAIR_GEN_ : CKM_RSA_PKCS_KEY_PAIR_GEN_,
	    NULL, 0};
	CK_ATTRIBUTE public[] = {
	    {CKA_TOKEN_, &yes, sizeof(yes)},
	    {CKA_VERIFY_, &yes, sizeof(yes)},
	    {CKA_ID_, id, sizeof(id)},
	    {CKA_LABEL_, label, (CK_ULONG)length},
	    {CKA_EC_PARAMS_, curve, sizeof(curve)},
	};
	CK_ATTRIBUTE private[] = {
	    {CKA_TOKEN_, &yes, sizeof(yes)},
	    {CKA_PRIVATE_, &yes, sizeof(yes)},
	    {CKA_SENSITIVE_, &yes, sizeof(yes)},
	    {CKA_SIGN_, &yes, sizeof(yes)},
	    {CKA_ID_, id, sizeof(id)},
	    {CKA_LABEL_, label, (CK_ULONG)length},
	};
	CK_OBJECT_HANDLE made[2];

	identify(id, number);
	if (kind != P256)
		public[4] = (CK_ATTRIBUTE){CKA_MODULUS_BITS_, &bits, sizeof(bits)};
	must(module->C_GenerateKeyPair(session, &mechanism, public, 5, private, 6, &made[0], &made[1]),
	    "C_GenerateKeyPair");
}

/* What programs do between two signatures: something else. */
static void
rest(unsigned long microseconds)
{
	struct timespec time = {0, (long)microseconds * 1000};

	if (microseconds > 0)
		(void)nanosleep(&time, NULL);
}

static void *
sign(void *argument)
{
	struct worker *worker = argument;
	CK_SESSION_HANDLE session = open_session();
	CK_OBJECT_HANDLE key = find(session, worker->id);
	CK_MECHANISM mechanism = {worker->kind == P256 ? CKM_ECDSA_ : CKM_RSA_PKCS_, NULL, 0};
	CK_BYTE digest[32] = {0x5a}, signature[512];
	uint64_t first = now() + WARM_UP, last = first + worker->milliseconds * 1000000, begin, end;
	CK_ULONG length;

	do {
		begin = now();
		length = sizeof(signature);
		must(module->C_SignInit(session, &mechanism, key), "C_SignInit");
		must(module->C_Sign(session, digest, sizeof(digest), signature, &length), "C_Sign");
		end = now();
		if (begin >= first)
			add(&worker->series, end - begin);
		rest(worker->pause);
	} while (end < last || worker->series.count == 0);
	return NULL;
}

static void
sign_all(const struct worker *what, unsigned long threads)
{
	static struct worker workers[MOST_THREADS];
	uint64_t begin = now() + WARM_UP;

	if (threads == 0 || threads > MOST_THREADS)
		fail("so many threads are too many");
	for (unsigned long n = 0; n < threads; n++) {
		workers[n] = *what;
		if (pthread_create(&workers[n].thread, NULL, sign, &workers[n]) != 0)
			fail("no thread");
	}
	for (unsigned long n = 0; n < threads; n++)
		(void)pthread_join(workers[n].thread, NULL);
	(void)printf("%.9f\n", (double)(now() - begin) / 1e9);
	for (unsigned long n = 0; n < threads; n++)
		print(&workers[n].series);
}

static void
find_often(CK_SESSION_HANDLE session, unsigned long count, unsigned long times)
{
	struct series series = {NULL, 0, 0};
	uint64_t begin, all;

	(void)find(session, 0); /* what is made by the first search is not a search */
	all = now();
	srand(1);
	for (unsigned long n = 0; n < times; n++) {
		begin = now();
		(void)find(session, (unsigned long)rand() % count);
		add(&series, now() - begin);
	}
	print_all(&series, all);
}

static void
name(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
	CK_BYTE id[64], label[128];
	CK_ATTRIBUTE wanted[] = {
	    {CKA_ID_, id, sizeof(id)},
	    {CKA_LABEL_, label, sizeof(label)},
	};

	must(module->C_GetAttributeValue(session, key, wanted, 2), "C_GetAttributeValue");
}

static void
list(CK_SESSION_HANDLE session)
{
	CK_ULONG class = CKO_PRIVATE_KEY_, count, seen = 0;
	CK_ATTRIBUTE template = {CKA_CLASS_, &class, sizeof(class)};
	CK_OBJECT_HANDLE found[BATCH];
	struct series series = {NULL, 0, 0};
	uint64_t begin = now();

	must(module->C_FindObjectsInit(session, &template, 1), "C_FindObjectsInit");
	do {
		must(module->C_FindObjects(session, found, BATCH, &count), "C_FindObjects");
		for (CK_ULONG n = 0; n < count; n++)
			name(session, found[n]);
		seen += count;
	} while (count > 0);
	must(module->C_FindObjectsFinal(session), "C_FindObjectsFinal");
	if (seen == 0)
		fail("there are no keys");
	add(&series, now() - begin);
	print_all(&series, begin);
}

static unsigned long
number(int count, char **words, int which)
{
	if (which >= count)
		fail("a number is missing");
	return strtoul(words[which], NULL, 10);
}

static void
run(CK_SESSION_HANDLE session, int count, char **words)
{
	const char *command = words[4];
	struct worker worker = {.kind = 0};

	if (strcmp(command, "generate") == 0) {
		unsigned long kind = number(count, words, 5), first = number(count, words, 6);

		for (unsigned long n = 0; n < number(count, words, 7); n++)
			generate(session, kind, first + n);
	} else if (strcmp(command, "sign") == 0) {
		worker.kind = number(count, words, 5);
		worker.id = number(count, words, 6);
		worker.milliseconds = number(count, words, 7);
		worker.pause = number(count, words, 8);
		sign_all(&worker, number(count, words, 9));
	} else if (strcmp(command, "find") == 0)
		find_often(session, number(count, words, 5), number(count, words, 6));
	else if (strcmp(command, "list") == 0)
		list(session);
	else
		fail("there is no such command");
}

int
main(int count, char **words)
{
	uint64_t begin = now();
	struct series series = {NULL, 0, 0};
	CK_SESSION_HANDLE session;

	if (count < 5)
		fail("p11load MODULE TOKEN PIN COMMAND [NUMBER...]");
	load(words[1]);
	choose(words[2]);
	session = open_session();
	if (strcmp(words[4], "load") == 0) {
		add(&series, now() - begin);
		print_all(&series, begin);
	} else {
		log_in(session, words[3]);
		run(session, count, words);
	}
	must(module->C_Finalize(NULL), "C_Finalize");
	return 0;
}
