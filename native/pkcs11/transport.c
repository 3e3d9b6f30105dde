/* transport.c: see transport.h. */
#include "transport.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "say.h"
#include "state.h"

#define MOST_CONNECTIONS 64
#define OUR_DIALECT 0x80
#define TOKEN_SIZE 16
#define LONGEST_PATH 512
#define LONGEST_HELLO 4096
#define SHORTEST_HELLO 32
#define HELLO_MILLISECONDS 10000 /* a daemon that is started by its socket needs a moment */
#define LONGEST_OPTIONS 4096
#define FIRST_READ 4096
#define FLAG_CROWDED 1

/* How long to spin, and for how many calls not to, after how many failures (measured). */
#define LONGEST_SPIN 60
#define SPIN_UNKNOWN (-1)
#define MOST_MISSES 4
#define SHORTEST_REST 16
#define LONGEST_REST 1024

#ifndef KEYHOLM_VERSION
#define KEYHOLM_VERSION 0 /* major, minor, patch as 8, 8, 16 bits; the build sets it */
#endif

/*
 * All guarded by the state lock. An array, never a list: after a fork it can be walked, whatever
 * another thread of the parent was doing to it.
 */
static struct connection connections[MOST_CONNECTIONS];
static bool running;
static uint32_t run;
static uint32_t application, last_application;
static unsigned char token[TOKEN_SIZE];

static atomic_uint in_flight;
static atomic_int spin_microseconds;

/* --- the pool -------------------------------------------------------------------------------- */

static void
rest_none(struct connection *connection)
{
	connection->crowded = false;
	connection->misses = 0;
	connection->rest = 0;
	connection->next_rest = SHORTEST_REST;
}

static bool
any_is_open(void)
{
	for (size_t n = 0; n < MOST_CONNECTIONS; n++)
		if (connections[n].open && connections[n].application == application)
			return true;
	return false;
}

static void
end_application(void)
{
	application = 0;
	wipe(token, sizeof(token));
	sessions_forget_all();
}

static void
close_locked(struct connection *connection)
{
	if (!connection->open)
		return;
	connection->open = false;
	platform_disconnect(&connection->channel);
	if (application != 0 && !any_is_open())
		end_application();
}

static void
free_buffers(struct connection *connection)
{
	writer_free(&connection->request);
	writer_free(&connection->answer);
}

bool
transport_start(void)
{
	bool started;

	platform_lock(&platform_state_lock);
	started = !running;
	if (started) {
		running = true;
		run++;
		atomic_store(&spin_microseconds, SPIN_UNKNOWN);
	}
	platform_unlock(&platform_state_lock);
	return started;
}

/* A connection in use is only woken up; who uses it closes it, in transport_give_back. */
bool
transport_stop(void)
{
	bool stopped;

	platform_lock(&platform_state_lock);
	stopped = running;
	running = false;
	for (size_t n = 0; stopped && n < MOST_CONNECTIONS; n++) {
		struct connection *connection = &connections[n];

		if (connection->busy) {
			if (connection->open)
				platform_interrupt(&connection->channel);
			continue;
		}
		close_locked(connection);
		free_buffers(connection);
	}
	if (stopped)
		end_application();
	platform_tell_change();
	platform_unlock(&platform_state_lock);
	return stopped;
}

bool
transport_runs(void)
{
	bool runs;

	platform_lock(&platform_state_lock);
	runs = running;
	platform_unlock(&platform_state_lock);
	return runs;
}

/*
 * In a child: its parent's connections stay the parent's. Their buffers are left lying, since
 * the parent may have been moving one at the moment of the fork.
 */
void
transport_abandon(void)
{
	for (size_t n = 0; n < MOST_CONNECTIONS; n++) {
		if (connections[n].open)
			platform_abandon(&connections[n].channel);
		memset(&connections[n], 0, sizeof(connections[n]));
	}
	running = false;
	application = 0;
	memset(token, 0, sizeof(token));
	atomic_store(&in_flight, 0);
}

/* Connected ones first, and always in the same order, so that few are kept in use. */
static struct connection *
free_connection(void)
{
	struct connection *unconnected = NULL;

	for (size_t n = 0; n < MOST_CONNECTIONS; n++) {
		if (connections[n].busy)
			continue;
		if (connections[n].open)
			return &connections[n];
		if (unconnected == NULL)
			unconnected = &connections[n];
	}
	return unconnected;
}

static void
begin_request(struct connection *connection)
{
	static const unsigned char head[FRAME_HEAD];

	connection->request.limit = LARGEST_BODY + FRAME_HEAD;
	connection->answer.limit = LARGEST_BODY + FRAME_HEAD + LONGEST_OPTIONS;
	put_raw(&connection->request, head, sizeof(head));
}

struct connection *
transport_take(bool counts)
{
	struct connection *connection = NULL;

	platform_lock(&platform_state_lock);
	while (running && (connection = free_connection()) == NULL)
		platform_wait_for_change();
	if (connection != NULL) {
		connection->busy = true;
		connection->run = run;
		if (!connection->open)
			rest_none(connection);
	}
	platform_unlock(&platform_state_lock);
	if (connection == NULL)
		return NULL;
	begin_request(connection);
	if (counts)
		atomic_fetch_add(&in_flight, 1);
	return connection;
}

void
transport_give_back(struct connection *connection, bool counts)
{
	if (counts)
		atomic_fetch_sub(&in_flight, 1);
	writer_wipe(&connection->request);
	writer_wipe(&connection->answer);
	platform_lock(&platform_state_lock);
	connection->busy = false;
	if (!running || connection->run != run) {
		close_locked(connection);
		free_buffers(connection);
	} else if (connection->open && connection->application != application)
		close_locked(connection);
	platform_tell_change();
	platform_unlock(&platform_state_lock);
}

uint32_t
transport_application(void)
{
	return application;
}

void
transport_close(struct connection *connection)
{
	platform_lock(&platform_state_lock);
	close_locked(connection);
	platform_unlock(&platform_state_lock);
}

void
transport_check(void)
{
	platform_lock(&platform_state_lock);
	for (size_t n = 0; n < MOST_CONNECTIONS; n++) {
		struct connection *connection = &connections[n];

		if (connection->busy || !connection->open)
			continue;
		if (platform_is_open(&connection->channel))
			break; /* the daemon lives, and so does the application */
		close_locked(connection);
	}
	platform_unlock(&platform_state_lock);
}

/* --- hello ----------------------------------------------------------------------------------- */

static bool
send_hello(struct channel *channel, const unsigned char *joined)
{
	unsigned char memory[64];
	struct writer hello;
	size_t begun, sent;

	writer_fixed(&hello, memory, sizeof(memory));
	put_byte(&hello, OUR_DIALECT);
	begun = put_string_begin(&hello);
	put_u64(&hello, 0); /* no feature has a number yet */
	put_u32(&hello, KEYHOLM_VERSION);
	put_byte(&hello, sizeof(CK_ULONG));
	put_u32(&hello, platform_process_id());
	put_raw(&hello, joined, TOKEN_SIZE);
	put_string_end(&hello, begun);
	return !hello.failed && platform_send(channel, memory, hello.length, &sent) == IO_OK &&
	    sent == hello.length;
}

static bool
receive_hello_bytes(struct channel *channel, unsigned char *to, size_t length)
{
	size_t received;

	while (length > 0) {
		if (platform_wait(channel, HELLO_MILLISECONDS) != IO_OK ||
		    platform_receive_now(channel, to, length, &received) != IO_OK)
			return false;
		to += received;
		length -= received;
	}
	return true;
}

/* What the daemon answered: the application's token, and the most that it takes. */
static bool
receive_hello(struct channel *channel, unsigned char *answered, size_t *largest)
{
	unsigned char memory[LONGEST_HELLO];
	const unsigned char *its_token;
	struct reader reader = {memory, 5, false};
	uint32_t length;

	if (!receive_hello_bytes(channel, memory, 5) || get_byte(&reader) != OUR_DIALECT)
		return false;
	length = get_u32(&reader);
	if (length < SHORTEST_HELLO || length > LONGEST_HELLO ||
	    !receive_hello_bytes(channel, memory, length))
		return false;
	reader = (struct reader){memory, length, false};
	(void)get_u64(&reader); /* features: none is known */
	(void)get_u32(&reader); /* the daemon's version */
	its_token = get_raw(&reader, TOKEN_SIZE);
	*largest = get_u32(&reader);
	if (reader.failed)
		return false;
	memcpy(answered, its_token, TOKEN_SIZE);
	if (*largest > LARGEST_BODY)
		*largest = LARGEST_BODY;
	return true;
}

/* The daemon knows our application, or gave us a new one: then what we had is gone. */
static void
enter_application(struct connection *connection, const unsigned char *answered)
{
	platform_lock(&platform_state_lock);
	if (application == 0 || memcmp(token, answered, TOKEN_SIZE) != 0) {
		if (application != 0)
			end_application();
		application = ++last_application;
		if (application == 0) /* it means that there is none */
			application = ++last_application;
		memcpy(token, answered, TOKEN_SIZE);
	}
	connection->application = application;
	connection->open = true;
	platform_unlock(&platform_state_lock);
}

static bool
greet(struct connection *connection, const char *path)
{
	unsigned char joined[TOKEN_SIZE], answered[TOKEN_SIZE];
	bool greeted;

	platform_lock(&platform_state_lock);
	memcpy(joined, token, TOKEN_SIZE);
	platform_unlock(&platform_state_lock);
	greeted = send_hello(&connection->channel, joined) &&
	    receive_hello(&connection->channel, answered, &connection->largest);
	if (greeted)
		enter_application(connection, answered);
	else {
		platform_disconnect(&connection->channel);
		say_plainly("what listens at %s does not answer as keyholm does.", path,
		    "See `keyholm doctor`.");
	}
	wipe(joined, sizeof(joined));
	wipe(answered, sizeof(answered));
	return greeted;
}

/* --- connecting ------------------------------------------------------------------------------ */

static void
complain(enum reach reach, const char *path)
{
	switch (reach) {
	case REACH_TOO_LONG:
		say_plainly("the path of the daemon's socket is too long: %s", path,
		    "Set XDG_RUNTIME_DIR or KEYHOLM_PKCS11 to a shorter one.");
		break;
	case REACH_FOREIGN:
		say_plainly("another user's program listens at %s, and is not trusted.", path,
		    "See `keyholm doctor`.");
		break;
	case REACH_REFUSED:
		say_plainly("the daemon cannot be reached at %s.", path, "See `keyholm doctor`.");
		break;
	case REACH_ABSENT:
	case REACH_OK:
		say_plainly("the daemon is not running (no socket at %s).", path,
		    "Start it with `keyholm serve`.");
		break;
	}
}

/* The first path is the user's own, and the one to speak about. */
static bool
connect_somewhere(struct connection *connection)
{
	char path[LONGEST_PATH], first[LONGEST_PATH] = "";
	enum reach reach, first_reach = REACH_TOO_LONG;
	bool of_the_system;

	for (unsigned n = 0; platform_path(n, path, sizeof(path), &of_the_system); n++) {
		reach = platform_connect(path, of_the_system, &connection->channel);
		if (reach == REACH_OK)
			return greet(connection, path);
		if (n == 0) {
			first_reach = reach;
			memcpy(first, path, sizeof(first));
		}
	}
	complain(first_reach, first);
	return false;
}

/* One at a time: two threads must not both become the first of an application. */
bool
transport_open(struct connection *connection)
{
	bool opened;

	platform_lock(&platform_connect_lock);
	opened = connect_somewhere(connection);
	platform_unlock(&platform_connect_lock);
	if (opened)
		rest_none(connection);
	else
		transport_check();
	return opened;
}

/* --- frames ---------------------------------------------------------------------------------- */

static void
finish_request(struct connection *connection)
{
	struct writer *request = &connection->request;

	if (++connection->code == 0) /* the protocol forbids it */
		connection->code = 1;
	set_u32(request, 0, connection->code);
	set_u32(request, 4, 0);
	set_u32(request, 8, (uint32_t)(request->length - FRAME_HEAD));
}

/* One system call a request: the daemon wakes up once, with all of it there. */
enum delivery
transport_send(struct connection *connection)
{
	const struct writer *request = &connection->request;
	size_t done = 0, sent;

	finish_request(connection);
	while (done < request->length) {
		if (platform_send(&connection->channel, request->data + done,
		        request->length - done, &sent) != IO_OK)
			return done == 0 ? UNTOUCHED : LOST;
		done += sent;
	}
	return DELIVERED;
}

static int
spin_setting(void)
{
	const char *value = platform_environment("KEYHOLM_SPIN_US");
	long wanted;
	char *end;

	if (value == NULL)
		return platform_on_battery() ? 0 : LONGEST_SPIN;
	wanted = strtol(value, &end, 10);
	if (end == value || *end != '\0' || wanted < 0)
		return LONGEST_SPIN;
	return wanted > LONGEST_SPIN ? LONGEST_SPIN : (int)wanted;
}

/* Looked up when it first matters: most programs that load us never sign. */
static int
spin_time(void)
{
	int time = atomic_load_explicit(&spin_microseconds, memory_order_relaxed);

	if (time == SPIN_UNKNOWN) {
		time = spin_setting();
		atomic_store_explicit(&spin_microseconds, time, memory_order_relaxed);
	}
	return time;
}

static bool
should_spin(struct connection *connection)
{
	if (connection->crowded || spin_time() == 0 ||
	    atomic_load_explicit(&in_flight, memory_order_relaxed) > 1)
		return false;
	if (connection->rest > 0) {
		connection->rest--;
		return false;
	}
	return true;
}

/* After some misses in a row, rest; then one try, and at another miss rest twice as long. */
static void
note_miss(struct connection *connection)
{
	if (++connection->misses < MOST_MISSES)
		return;
	connection->misses = MOST_MISSES - 1;
	connection->rest = connection->next_rest;
	if (connection->next_rest < LONGEST_REST)
		connection->next_rest *= 2;
}

static enum io
spin(struct connection *connection, void *to, size_t room, size_t *received)
{
	uint64_t end = platform_microseconds() + (uint64_t)spin_time();
	enum io io;

	do
		io = platform_receive_now(&connection->channel, to, room, received);
	while (io == IO_LATER && platform_microseconds() < end);
	if (io == IO_LATER)
		note_miss(connection);
	else {
		connection->misses = 0;
		connection->next_rest = SHORTEST_REST;
	}
	return io;
}

static bool
receive_some(struct connection *connection, bool spinning)
{
	struct writer *answer = &connection->answer;
	unsigned char *to = answer->data + answer->length;
	size_t room = answer->room - answer->length, received;
	enum io io = IO_LATER;

	if (spinning)
		io = spin(connection, to, room, &received);
	if (io == IO_LATER)
		io = platform_receive(&connection->channel, to, room, &received);
	if (io != IO_OK)
		return false;
	answer->length += received;
	return true;
}

struct frame {
	size_t options;
	size_t body;
};

static bool
read_head(const struct connection *connection, struct frame *frame)
{
	struct reader head = {connection->answer.data, FRAME_HEAD, false};
	uint32_t code = get_u32(&head);

	frame->options = get_u32(&head);
	frame->body = get_u32(&head);
	return code == connection->code && frame->options <= LONGEST_OPTIONS &&
	    frame->body <= LARGEST_BODY;
}

/* Room grows with what has come, never with what was announced. */
static bool
make_room(struct writer *answer, size_t whole)
{
	if (answer->length < answer->room)
		return true;
	return writer_reserve(answer,
	    whole - answer->length < answer->length ? whole - answer->length : answer->length);
}

bool
transport_receive(struct connection *connection, bool may_spin, struct reader *body)
{
	struct writer *answer = &connection->answer;
	bool spinning = may_spin && should_spin(connection);
	struct frame frame;
	size_t whole;

	writer_wipe(answer);
	if (!writer_reserve(answer, FIRST_READ))
		return false;
	for (; answer->length < FRAME_HEAD; spinning = false)
		if (!receive_some(connection, spinning))
			return false;
	if (!read_head(connection, &frame))
		return false;
	whole = FRAME_HEAD + frame.options + frame.body;
	while (answer->length < whole)
		if (!make_room(answer, whole) || !receive_some(connection, false))
			return false;
	if (answer->length > whole)
		return false; /* nobody asked for more */
	connection->crowded = frame.options > 0 && (answer->data[FRAME_HEAD] & FLAG_CROWDED) != 0;
	*body = (struct reader){answer->data + FRAME_HEAD + frame.options, frame.body, false};
	return true;
}
