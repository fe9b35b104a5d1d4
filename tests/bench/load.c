/* A light client: one thread, epoll, no allocation per request. Built by load.py.
 *
 *   load MODE PORT CONNECTIONS SECONDS SIZE RATE
 *
 * Modes: get, post, chunked (closed loop, whole responses checked), ws (masked echoes), rate (GETs
 * at RATE a second whatever the server does, latency from when each was due), idle (one GET on
 * each connection, then nothing until the standard input ends). One line of JSON at the end. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define UNIT_MAX (1 << 20)
#define HEAD_MAX 8192
#define SAMPLES_MAX (1 << 22)

enum mode { GET, POST, CHUNKED, WS, RATE, IDLE };
static const char *const MODES[] = {"get", "post", "chunked", "ws", "rate", "idle"};

/* What every connection sends: head, `units` times unit, tail. */
static char head[1024], tail[8];
static char *unit;
static size_t head_len, unit_len, units, tail_len, total;

struct conn {
    int fd;
    int waiting;    /* A request is under way. */
    int writing;    /* EPOLLOUT is asked for. */
    int upgraded;
    size_t sent;
    size_t got;     /* Bytes of head (or frame) in `in`. */
    size_t left;    /* Bytes of the response's body still to come. */
    int in_body;
    double due;
    char in[HEAD_MAX];
};

static enum mode mode;
static struct conn *conns;
static int count, epoll, live;
static size_t size;
static char expected[32];
static char scratch[1 << 18];
static unsigned long requests, errors;
static double *samples;
static unsigned long sampled;
static int *idle_ring;
static int idle_first, idle_count;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *why) {
    fprintf(stderr, "load: %s: %s\n", why, strerror(errno));
    exit(1);
}

static void prepare(void) {
    unit = malloc(UNIT_MAX + 64);
    memset(unit, 'x', UNIT_MAX + 64);
    const char *common = "Host: 127.0.0.1\r\nUser-Agent: load\r\nAccept: */*\r\n";
    if (mode == POST) {
        unit_len = size < UNIT_MAX ? size : UNIT_MAX;
        units = size / unit_len;
        head_len = (size_t)sprintf(head,
            "POST / HTTP/1.1\r\n%sContent-Type: application/octet-stream\r\nContent-Length: %zu\r\n\r\n",
            common, size);
    } else if (mode == CHUNKED) {
        size_t chunk = size < 65536 ? size : 65536;
        size_t line = (size_t)sprintf(unit, "%zx\r\n", chunk);
        unit[line] = 'x';
        memcpy(unit + line + chunk, "\r\n", 2);
        unit_len = line + chunk + 2;
        units = size / chunk;
        memcpy(tail, "0\r\n\r\n", tail_len = 5);
        head_len = (size_t)sprintf(head,
            "POST / HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n", common);
    } else if (mode == WS) {
        unit[0] = (char)0x82;
        size_t at = 2;
        if (size < 126) {
            unit[1] = (char)(0x80 | size);
        } else {
            unit[1] = (char)(0x80 | 127);
            for (int i = 0; i < 8; i++) unit[at++] = (char)((unsigned long)size >> (56 - 8 * i));
        }
        const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
        memcpy(unit + at, mask, 4);
        at += 4;
        for (size_t i = 0; i < size; i++) unit[at + i] = (char)('x' ^ mask[i & 3]);
        unit_len = at + size;
        units = 1;
    } else {
        head_len = (size_t)sprintf(head, "GET / HTTP/1.1\r\n%s\r\n", common);
    }
    if (mode == POST || mode == CHUNKED) sprintf(expected, "%zu", size);
    total = head_len + units * unit_len + tail_len;
}

static void watch(struct conn *c, int writing) {
    if (c->writing == writing) return;
    c->writing = writing;
    struct epoll_event e = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_MOD, c->fd, &e);
}

static void drop(struct conn *c) {
    errors++;
    live--;
    close(c->fd);
    c->fd = -1;
}

static void push(struct conn *c) {
    size_t goal = mode == WS ? unit_len : total;
    while (c->sent < goal) {
        struct iovec v[4];
        int n = 0;
        size_t at = c->sent;
        if (at < head_len) {
            v[n++] = (struct iovec){head + at, head_len - at};
            at = head_len;
        }
        size_t body = at - head_len;
        while (n < 3 && body < units * unit_len) {
            size_t in_unit = body % unit_len;
            v[n++] = (struct iovec){unit + in_unit, unit_len - in_unit};
            body += unit_len - in_unit;
        }
        if (n < 4 && body >= units * unit_len && tail_len) {
            size_t t = body - units * unit_len;
            if (t < tail_len) v[n++] = (struct iovec){tail + t, tail_len - t};
        }
        ssize_t w = writev(c->fd, v, n);
        if (w < 0) {
            if (errno == EAGAIN) { watch(c, 1); return; }
            drop(c);
            return;
        }
        c->sent += (size_t)w;
    }
    watch(c, 0);
}

static void begin(struct conn *c, double due) {
    c->waiting = 1;
    c->sent = c->got = c->left = 0;
    c->in_body = 0;
    c->due = due;
    push(c);
}

/* 1 when the response is complete, 0 when more must come, -1 on anything unexpected. */
static int parse(struct conn *c) {
    if (mode == WS) {
        size_t line = size < 126 ? 2 : 10;
        if (c->got < line) return 0;
        if ((unsigned char)c->in[0] != 0x82) return -1;
        c->left = size - (c->got - line);
        if (c->got > line && c->in[line] != 'x') return -1;
        c->in_body = 1;
        return c->left == 0;
    }
    c->in[c->got] = 0;
    char *end = strstr(c->in, "\r\n\r\n");
    if (!end) return c->got >= HEAD_MAX - 1 ? -1 : 0;
    if (strncmp(c->in, "HTTP/1.1 200 ", 13)) return -1;
    char *length = strcasestr(c->in, "\r\ncontent-length:");
    if (!length || length > end) return -1;
    size_t n = strtoul(length + 17, NULL, 10);
    size_t have = c->got - (size_t)(end + 4 - c->in);
    if (have > n) return -1;
    if (*expected && have == n && (n != strlen(expected) || memcmp(end + 4, expected, n)))
        return -1;
    c->left = n - have;
    /* A small body is waited for in `in`, to be compared; a large one is only counted. */
    if (*expected && c->left) return n < 64 ? 0 : -1;
    c->in_body = 1;
    return c->left == 0;
}

static int pull(struct conn *c) {
    for (;;) {
        char *to = c->in_body ? scratch : c->in + c->got;
        size_t room = c->in_body ? sizeof scratch : HEAD_MAX - 1 - c->got;
        if (c->in_body && room > c->left) room = c->left;
        if (mode == WS && !c->in_body) {
            size_t frame = size + (size < 126 ? 2 : 10) - c->got;
            if (room > frame) room = frame;
        }
        ssize_t r = read(c->fd, to, room);
        if (r < 0 && errno == EAGAIN) return 0;
        if (r <= 0) return -1;
        if (c->in_body) {
            c->left -= (size_t)r;
            if (c->left == 0) return 1;
        } else {
            c->got += (size_t)r;
            int done = parse(c);
            if (done) return done;
        }
        if ((size_t)r < room) return 0;
    }
}

static void dial(struct conn *c, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a)) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (mode == WS) {
        const char *ask = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n";
        char answer[4096];
        size_t got = 0;
        if (write(c->fd, ask, strlen(ask)) < 0) die("write");
        do {
            ssize_t r = read(c->fd, answer + got, 1);
            if (r <= 0 || got > 4000) die("handshake");
            got += (size_t)r;
            answer[got] = 0;
        } while (!strstr(answer, "\r\n\r\n"));
        if (strncmp(answer, "HTTP/1.1 101", 12)) { errno = EPROTO; die("handshake"); }
    }
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK)) die("fcntl");
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e);
    live++;
}

static void finished(struct conn *c, double t) {
    c->waiting = 0;
    requests++;
    if (mode == RATE) {
        if (sampled < SAMPLES_MAX) samples[sampled++] = t - c->due;
        idle_ring[(idle_first + idle_count++) % count] = (int)(c - conns);
    }
}

static void serve(double until, int again, double *next, double step) {
    struct epoll_event events[256];
    int busy = 0;
    for (int i = 0; i < count; i++) busy += conns[i].fd >= 0 && conns[i].waiting;
    double t = now();
    while (live && (t < until || busy)) {
        if (t > until + 5) { errors += (unsigned long)busy; break; }
        int n = epoll_wait(epoll, events, 256, mode == RATE ? 0 : 1000);
        t = now();
        for (int i = 0; i < n; i++) {
            struct conn *c = events[i].data.ptr;
            if (c->fd < 0) continue;
            if (events[i].events & EPOLLOUT) push(c);
            if (c->fd < 0) { busy--; continue; }
            if (!(events[i].events & ~(unsigned)EPOLLOUT)) continue;
            int done = c->waiting ? pull(c) : -1;
            if (done < 0) { busy -= c->waiting; drop(c); continue; }
            if (!done) continue;
            finished(c, mode == RATE ? now() : t);
            busy--;
            if (again && t < until) { begin(c, t); busy++; }
        }
        while (step > 0 && *next <= t && *next < until && idle_count) {
            struct conn *c = &conns[idle_ring[idle_first]];
            idle_first = (idle_first + 1) % count;
            idle_count--;
            if (c->fd < 0) continue;
            begin(c, *next);
            busy++;
            *next += step;
        }
    }
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double at(double share) {
    return sampled ? samples[(unsigned long)((double)(sampled - 1) * share)] * 1e6 : 0;
}

int main(int argc, char **argv) {
    if (argc != 7) { fprintf(stderr, "load MODE PORT CONNECTIONS SECONDS SIZE RATE\n"); return 2; }
    int m = 0;
    while (m < 6 && strcmp(argv[1], MODES[m])) m++;
    if (m == 6) { fprintf(stderr, "load: no such mode\n"); return 2; }
    mode = (enum mode)m;
    count = atoi(argv[3]);
    double seconds = atof(argv[4]), rate = atof(argv[6]);
    size = strtoul(argv[5], NULL, 10);
    epoll = epoll_create1(0);
    conns = calloc((size_t)count, sizeof *conns);
    idle_ring = calloc((size_t)count, sizeof *idle_ring);
    samples = malloc(sizeof *samples * SAMPLES_MAX);
    if (mode == RATE) memset(samples, 0, sizeof *samples * SAMPLES_MAX);
    prepare();
    /* Whatever happens, this process ends. */
    alarm((unsigned)seconds + (mode == IDLE ? 60 : 20));
    int port = atoi(argv[2]);
    double start = now(), next = start;
    if (mode == IDLE) {
        /* In groups: a listener's queue holds only so many. */
        for (int i = 0; i < count; i++) {
            dial(&conns[i], port);
            begin(&conns[i], start);
            if (i % 128 == 127 || i == count - 1) serve(now(), 0, &next, 0);
        }
    } else {
        for (int i = 0; i < count; i++) dial(&conns[i], port);
    }
    next = start = now();
    if (mode == RATE) {
        for (int i = 0; i < count; i++) idle_ring[i] = i;
        idle_count = count;
        serve(start + seconds, 0, &next, 1 / rate);
    } else if (mode != IDLE) {
        for (int i = 0; i < count; i++) begin(&conns[i], start);
        serve(start + seconds, 1, &next, 0);
    }
    double took = now() - start;
    qsort(samples, sampled, sizeof *samples, by_size);
    printf("{\"requests\": %lu, \"errors\": %lu, \"seconds\": %.6f, \"p50\": %.2f, \"p99\": %.2f, "
           "\"p999\": %.2f, \"max\": %.2f}\n",
           requests, errors, took, at(0.5), at(0.99), at(0.999), at(1.0));
    fflush(stdout);
    if (mode == IDLE) while (read(0, scratch, 1) > 0) {}
    return 0;
}
