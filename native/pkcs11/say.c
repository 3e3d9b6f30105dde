/* say.c: see say.h. */
#include "say.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "calls.h"
#include "platform.h"

#define LONGEST_LINE 1024

/* The last line, as a number: a loop that fails ten thousand times says so once. */
static _Atomic uint64_t last_said;

void
say_reset(void)
{
	atomic_store(&last_said, 0);
}

bool
say_has_spoken(void)
{
	return atomic_load(&last_said) != 0;
}

struct sentence
sentence_of(const char *terminated)
{
	return (struct sentence){terminated, strlen(terminated)};
}

static bool
is_verbose(void)
{
	const char *value = platform_environment("KEYHOLM_VERBOSE");

	return value != NULL && strcmp(value, "0") != 0;
}

static uint64_t
number_of(const char *line, size_t length)
{
	uint64_t number = 14695981039346656037u; /* FNV-1a */

	for (size_t n = 0; n < length; n++)
		number = (number ^ (unsigned char)line[n]) * 1099511628211u;
	return number | 1;
}

struct line {
	char text[LONGEST_LINE];
	size_t length;
};

/* The daemon's text may hold a file's name: what could move a terminal's cursor is made visible. */
static void
append(struct line *line, struct sentence sentence)
{
	for (size_t n = 0; n < sentence.length && line->length < LONGEST_LINE - 1; n++) {
		unsigned char c = (unsigned char)sentence.text[n];

		line->text[line->length++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
	}
}

static void
finish(struct line *line)
{
	uint64_t number = number_of(line->text, line->length);

	if (atomic_exchange(&last_said, number) == number)
		return;
	line->text[line->length++] = '\n';
	platform_print(line->text, line->length);
}

static void
append_pair(struct line *line, struct sentence what, struct sentence remedy)
{
	append(line, what);
	if (what.length > 0 && remedy.length > 0)
		append(line, sentence_of(" "));
	append(line, remedy);
}

void
say_plainly(const char *format, const char *argument, const char *remedy)
{
	struct line line = {.length = 0};
	char text[LONGEST_LINE / 2];

	if (platform_is_probed() && !is_verbose())
		return;
	(void)snprintf(text, sizeof(text), format, argument);
	append(&line, sentence_of("keyholm: "));
	append_pair(&line, sentence_of(text), sentence_of(remedy));
	finish(&line);
}

/*
 * Errors after which programs print a number, or that nothing was found. Others belong to
 * normal use: a program tries another mechanism after CKR_MECHANISM_INVALID, and says itself
 * that a PIN was wrong. CKR_USER_NOT_LOGGED_IN is among the first: our tokens want no login of
 * programs, as a rule, so one that gets it stands before a locked token and cannot know that.
 */
static bool
leaves_user_puzzled(CK_RV rv)
{
	switch (rv) {
	case CKR_GENERAL_ERROR:
	case CKR_FUNCTION_FAILED:
	case CKR_FUNCTION_CANCELED:
	case CKR_FUNCTION_REJECTED:
	case CKR_DEVICE_ERROR:
	case CKR_DEVICE_MEMORY:
	case CKR_DEVICE_REMOVED:
	case CKR_TOKEN_NOT_PRESENT:
	case CKR_TOKEN_NOT_RECOGNIZED:
	case CKR_TOKEN_RESOURCE_EXCEEDED:
	case CKR_KEY_FUNCTION_NOT_PERMITTED:
	case CKR_ACTION_PROHIBITED:
	case CKR_PIN_LOCKED:
	case CKR_PIN_EXPIRED:
	case CKR_USER_NOT_LOGGED_IN:
		return true;
	default:
		return false;
	}
}

void
say_error(const char *function, CK_RV rv, struct sentence what, struct sentence remedy)
{
	struct line line = {.length = 0};
	char number[48];
	bool verbose = is_verbose();

	if (!verbose && (platform_is_probed() || !leaves_user_puzzled(rv)))
		return;
	if (what.length + remedy.length == 0 && !verbose)
		return;
	append(&line, sentence_of("keyholm: "));
	if (verbose) {
		(void)snprintf(number, sizeof(number), "%s (0x%lx): ", function, rv);
		append(&line, sentence_of(number));
	}
	append_pair(&line, what, remedy);
	finish(&line);
}
