/*
 * torture.c: orders, and what is done before and after the real call.
 */
#include "torture.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BEHIND "/usr/lib/softhsm/libsofthsm2.so"
#define MIB ((size_t)1 << 20)
#define TEN_GIB ((size_t)10 << 30)
#define NEARLY_ALL (~(CK_ULONG)15)
#define CKR_GENERAL_ERROR_ 0x5UL
#define CKR_BUFFER_TOO_SMALL_ 0x150UL

CK_FUNCTION_LIST *behind;

/* --- files ----------------------------------------------------------------------------------- */

static int
path_of(char path[LONGEST_LINE], const char *name)
{
	const char *folder = getenv("TORTURE_DIR");

	return folder != NULL && snprintf(path, LONGEST_LINE, "%s/%s", folder, name) < LONGEST_LINE;
}

static ssize_t
content(const char *path, char *text, size_t room)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	if (file < 0)
		return -1;
	length = read(file, text, room - 1);
	(void)close(file);
	if (length >= 0)
		text[length] = 0;
	return length;
}

void
tell(const char *format, ...)
{
	char path[LONGEST_LINE], line[LONGEST_LINE];
	va_list arguments;
	int file, length;

	va_start(arguments, format);
	length = vsnprintf(line, sizeof(line) - 1, format, arguments);
	va_end(arguments);
	if (length < 0 || !path_of(path, "found"))
		return;
	length = (int)strlen(line);
	line[length++] = '\n';
	file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (file < 0 || write(file, line, (size_t)length) < 0)
		(void)fprintf(stderr, "torture: %s: %s\n", path, strerror(errno));
	if (file >= 0)
		(void)close(file);
}

void
each_target(void (*look)(const char *target))
{
	char path[LONGEST_LINE], text[16 * LONGEST_LINE], *rest = NULL;

	if (!path_of(path, "targets") || content(path, text, sizeof(text)) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		look(line);
}

/* --- orders ---------------------------------------------------------------------------------- */

static int
is_about(const char *label, enum subject subject, CK_ULONG about)
{
	CK_SESSION_INFO session;
	CK_TOKEN_INFO token;
	size_t length = strlen(label);

	if (strcmp(label, "-") == 0)
		return 1;
	if (behind == NULL || subject == NOTHING)
		return 0;
	if (subject == SESSION) {
		if (behind->C_GetSessionInfo(about, &session) != 0)
			return 0;
		about = session.slotID;
	}
	return behind->C_GetTokenInfo(about, &token) == 0 && length < sizeof(token.label) &&
	    memcmp(token.label, label, length) == 0 && token.label[length] == ' ';
}

int
ordered(struct order *order, const char *call, enum subject subject, CK_ULONG about)
{
	char path[LONGEST_LINE], text[LONGEST_LINE], meant[LONGEST_WORD], label[LONGEST_WORD];
	unsigned times;

	if (!path_of(path, "order") || content(path, text, sizeof(text)) <= 0)
		return 0;
	if (sscanf(text, "%63s %63s %u %lu %63s", meant, order->act, &times, &order->number, label) != 5)
		return 0;
	if (strcmp(meant, call) != 0 || !is_about(label, subject, about))
		return 0;
	/* Of several threads the one that takes it away obeys it. */
	return times == 0 || unlink(path) == 0;
}

/* --- acts instead of a call ------------------------------------------------------------------ */

static void
segfault(const struct order *order)
{
	volatile int *nowhere = NULL;

	(void)order;
	*nowhere = 1;
}

static void
abort_now(const struct order *order)
{
	(void)order;
	abort();
}

static void
exit_now(const struct order *order)
{
	exit((int)order->number);
}

static void
loop(const struct order *order)
{
	(void)order;
	for (volatile unsigned n = 0;; n++)
		;
}

static void
rest(const struct order *order)
{
	struct timespec time = {(time_t)(order->number / 1000),
	    (long)(order->number % 1000) * 1000000};

	while (nanosleep(&time, &time) < 0 && errno == EINTR)
		;
}

/* Each page is written to: otherwise nothing is had. What it got it keeps. */
static void
take_memory(const struct order *order)
{
	size_t had = 0;

	(void)order;
	while (had < TEN_GIB) {
		char *more = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (more == MAP_FAILED)
			break;
		memset(more, 1, MIB);
		had += MIB;
	}
	tell("memory %zu", had / MIB);
}

static void
take_descriptors(const struct order *order)
{
	unsigned long had = 0;
	int last = -1, next;

	while ((order->number == 0 || had < order->number) &&
	    (next = open("/dev/null", O_RDONLY)) >= 0) {
		last = next;
		had++;
	}
	(void)close(last); /* to tell it takes one */
	tell("descriptors %lu", had);
	(void)open("/dev/null", O_RDONLY);
}

/* A child that holds all that its parent has, and stays. */
static void
leave_a_child(const struct order *order)
{
	pid_t child = fork();

	(void)order;
	if (child == 0)
		for (;;)
			(void)pause();
	tell("fork %s", child < 0 ? strerror(errno) : "child");
}

/* From here on there are two, and both of them answer. */
static void
be_two(const struct order *order)
{
	(void)order;
	if (fork() < 0)
		tell("fork %s", strerror(errno));
}

static void
stay(int signal)
{
	(void)signal;
	for (;;)
		(void)pause();
}

static void
take_signals(const struct order *order)
{
	struct sigaction action = {.sa_handler = stay};
	sigset_t all;

	(void)order;
	for (int signal = 1; signal < 32; signal++)
		(void)sigaction(signal, &action, NULL);
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, NULL);
}

static void
talk(const struct order *order)
{
	static char text[MIB];

	memset(text, 'x', sizeof(text));
	for (size_t at = 99; at < sizeof(text); at += 100)
		text[at] = '\n';
	for (unsigned long n = 0; n < order->number; n++)
		if (write(STDERR_FILENO, text, sizeof(text)) < 0)
			break;
	tell("talk done");
}

static void
connect_all(const struct order *order)
{
	(void)order;
	each_target(try_to_connect);
	tell("connect done");
}

static void
read_all(const struct order *order)
{
	(void)order;
	each_target(try_to_read);
	tell("read done");
}

static void
spy(const struct order *order)
{
	(void)order;
	look_for_processes();
	tell("processes done");
}

static const struct {
	const char *name;
	void (*act)(const struct order *order);
} ACTS[] = {
    {"segfault", segfault},
    {"abort", abort_now},
    {"exit", exit_now},
    {"loop", loop},
    {"sleep", rest},
    {"memory", take_memory},
    {"descriptors", take_descriptors},
    {"child", leave_a_child},
    {"fork", be_two},
    {"signals", take_signals},
    {"talk", talk},
    {"connect", connect_all},
    {"read", read_all},
    {"processes", spy},
};

int
before(const struct order *order, CK_RV *rv)
{
	if (strcmp(order->act, "answer") == 0) {
		*rv = order->number;
		return 1;
	}
	for (size_t n = 0; n < sizeof(ACTS) / sizeof(ACTS[0]); n++)
		if (strcmp(order->act, ACTS[n].name) == 0)
			ACTS[n].act(order);
	return 0;
}

/* --- lies ------------------------------------------------------------------------------------ */

static void
scribble(void *place, size_t size)
{
	CK_BYTE *bytes = place;

	for (size_t n = 0; n < size; n++)
		bytes[n] = (CK_BYTE)random();
}

static void
lie_of_length(const struct answers *answers, CK_ULONG length)
{
	if (answers->count != NULL)
		*answers->count = length;
	for (CK_ULONG n = 0; n < answers->attribute_count; n++)
		answers->attributes[n].ulValueLen = length;
}

static void
garbage(const struct answers *answers)
{
	size_t many = answers->count == NULL ? 1 : *answers->count;

	if (answers->list != NULL)
		scribble(answers->list, many * sizeof(CK_ULONG));
	if (answers->structure != NULL)
		scribble(answers->structure, answers->size);
	for (CK_ULONG n = 0; n < answers->attribute_count; n++) {
		const CK_ATTRIBUTE *attribute = &answers->attributes[n];

		if (attribute->pValue != NULL && attribute->ulValueLen != CK_UNAVAILABLE_INFORMATION)
			scribble(attribute->pValue, attribute->ulValueLen);
	}
}

/* Never enough room. */
static CK_RV
grow(const struct answers *answers)
{
	static CK_ULONG length = 1;

	lie_of_length(answers, length *= 2);
	return CKR_BUFFER_TOO_SMALL_;
}

CK_RV
after(const struct order *order, CK_RV rv, const struct answers *answers)
{
	if (strcmp(order->act, "random") == 0)
		return (CK_RV)random();
	if (strcmp(order->act, "late") == 0)
		return order->number;
	if (rv != 0)
		return rv;
	if (strcmp(order->act, "huge") == 0)
		lie_of_length(answers, NEARLY_ALL);
	else if (strcmp(order->act, "length") == 0)
		lie_of_length(answers, order->number);
	else if (strcmp(order->act, "garbage") == 0)
		garbage(answers);
	else if (strcmp(order->act, "grow") == 0)
		return grow(answers);
	return rv;
}

/* --- the module ------------------------------------------------------------------------------ */

static CK_RV
load(void)
{
	const char *path = getenv("TORTURE_BEHIND");
	CK_RV (*list)(CK_FUNCTION_LIST **);
	void *library = dlopen(path != NULL ? path : BEHIND, RTLD_NOW | RTLD_LOCAL);

	if (library == NULL) {
		(void)fprintf(stderr, "torture: %s\n", dlerror());
		return CKR_GENERAL_ERROR_;
	}
	*(void **)&list = dlsym(library, "C_GetFunctionList");
	return list != NULL ? list(&behind) : CKR_GENERAL_ERROR_;
}

CK_RV
C_GetFunctionList(CK_FUNCTION_LIST **list)
{
	CK_RV rv = behind != NULL ? 0 : load();

	srandom((unsigned)getpid());
	if (rv != 0)
		return rv;
	wrapped.version = behind->version;
	*list = &wrapped;
	return 0;
}
