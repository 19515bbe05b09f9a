/*
 * block.h - where certain bytes stand in a block of 64, as a mask: bit i is
 * set for byte i.
 *
 * What has to look at every byte of a message asks here once for 64 of them,
 * or, where the places do not matter, what there is in a run of blocks.  Two
 * ways lead to the same: SSE2, and eight bytes at a time in a word for other
 * machines; tests call both.
 */
#ifndef MAIL_BLOCK_H
#define MAIL_BLOCK_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK_BYTES	64
#define RUN_BYTES	(7 * BLOCK_BYTES)

/* What there is in a run of blocks, each counted with the byte before it. */
struct run {
	unsigned lf;		/* bytes that are LF */
	unsigned after_cr;	/* bytes behind a CR */
	unsigned odd;		/* bytes of which only one of these is true */
	bool	 has_8bit;
	bool	 has_nul;
	bool	 has_dot_line;	/* a dot behind LF, also just behind the run */
};

/* The top bit of each byte, gathered: bit i for byte i. */
static inline uint64_t
word_gather(uint64_t w)
{
	return (w >> 7 & 0x0101010101010101u) * 0x0102040810204080u >> 56;
}

static inline uint64_t
word_load(const char *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return le64toh(w);
}

static inline uint64_t
block_eq_word(const char *p, char c)
{
	const uint64_t	low7 = 0x7f7f7f7f7f7f7f7fu;
	const uint64_t	all_c = 0x0101010101010101u * (uint8_t)c;
	uint64_t	mask = 0, x;

	for (int i = 0; i < BLOCK_BYTES; i += 8) {
		x = word_load(p + i) ^ all_c;
		/* The top bit of each byte that is zero now. */
		x = ~(((x & low7) + low7) | x);
		mask |= word_gather(x) << i;
	}
	return mask;
}

static inline uint64_t
block_high_word(const char *p)
{
	uint64_t mask = 0;

	for (int i = 0; i < BLOCK_BYTES; i += 8)
		mask |= word_gather(word_load(p + i)) << i;
	return mask;
}

/* The lowest bit of each byte that is zero. */
static inline uint64_t
word_zeros(uint64_t w)
{
	const uint64_t low7 = 0x7f7f7f7f7f7f7f7fu;

	return (~(((w & low7) + low7) | w) & ~low7) >> 7;
}

/* The sum of the bytes. */
static inline unsigned
word_sum(uint64_t w)
{
	const uint64_t even = 0x00ff00ff00ff00ffu;

	w = (w & even) + (w >> 8 & even);
	return (unsigned)(w * 0x0001000100010001u >> 48);
}

static inline struct run
run_look_word(const char *p)
{
	const uint64_t	ones = 0x0101010101010101u;
	uint64_t	w, lf, cr, lfs = 0, crs = 0, odds = 0, high = 0;
	uint64_t	nuls = 0, dots;

	dots = p[-1] == '\n' && p[0] == '.';
	for (int i = 0; i < RUN_BYTES; i += 8) {
		w = word_load(p + i);
		lf = word_zeros(w ^ ones * '\n');
		cr = word_zeros(word_load(p + i - 1) ^ ones * '\r');
		lfs += lf;
		crs += cr;
		odds += lf ^ cr;
		high |= w;
		nuls |= word_zeros(w);
		dots |= lf & word_zeros(word_load(p + i + 1) ^ ones * '.');
	}
	return (struct run){ .lf = word_sum(lfs), .after_cr = word_sum(crs),
	    .odd = word_sum(odds), .has_8bit = (high & ones << 7) != 0,
	    .has_nul = nuls != 0, .has_dot_line = dots != 0 };
}

#ifdef __SSE2__
static inline uint64_t
block_eq_sse2(const char *p, char c)
{
	const __m128i	all_c = _mm_set1_epi8(c);
	uint64_t	mask = 0;
	__m128i		v;

#pragma GCC unroll 4
	for (int i = 0; i < BLOCK_BYTES; i += 16) {
		v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
		v = _mm_cmpeq_epi8(v, all_c);
		mask |= (uint64_t)(unsigned)_mm_movemask_epi8(v) << i;
	}
	return mask;
}

static inline uint64_t
block_high_sse2(const char *p)
{
	uint64_t	mask = 0;
	__m128i		v;

#pragma GCC unroll 4
	for (int i = 0; i < BLOCK_BYTES; i += 16) {
		v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
		mask |= (uint64_t)(unsigned)_mm_movemask_epi8(v) << i;
	}
	return mask;
}

static inline __m128i
sse2_load(const char *p)
{
	return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* The sum of the bytes. */
static inline unsigned
sse2_sum(__m128i v)
{
	v = _mm_sad_epu8(v, _mm_setzero_si128());
	return (unsigned)_mm_extract_epi16(v, 0) +
	    (unsigned)_mm_extract_epi16(v, 4);
}

static inline struct run
run_look_sse2(const char *p)
{
	const __m128i	zero = _mm_setzero_si128();
	const __m128i	all_lf = _mm_set1_epi8('\n');
	const __m128i	all_cr = _mm_set1_epi8('\r');
	const __m128i	all_dot = _mm_set1_epi8('.');
	__m128i		lfs = zero, crs = zero, odds = zero, high = zero;
	__m128i		low = all_lf, dots, v, lf, cr, dot;

	dots = _mm_cvtsi32_si128(p[-1] == '\n' && p[0] == '.' ? -1 : 0);
#pragma GCC unroll 4
	for (int i = 0; i < RUN_BYTES; i += 16) {
		v = sse2_load(p + i);
		lf = _mm_cmpeq_epi8(v, all_lf);
		cr = _mm_cmpeq_epi8(sse2_load(p + i - 1), all_cr);
		dot = _mm_cmpeq_epi8(sse2_load(p + i + 1), all_dot);
		/* True is -1. */
		lfs = _mm_sub_epi8(lfs, lf);
		crs = _mm_sub_epi8(crs, cr);
		odds = _mm_sub_epi8(odds, _mm_xor_si128(lf, cr));
		dots = _mm_or_si128(dots, _mm_and_si128(lf, dot));
		high = _mm_or_si128(high, v);
		low = _mm_min_epu8(low, v);
	}
	return (struct run){ .lf = sse2_sum(lfs), .after_cr = sse2_sum(crs),
	    .odd = sse2_sum(odds), .has_8bit = _mm_movemask_epi8(high) != 0,
	    .has_nul = _mm_movemask_epi8(_mm_cmpeq_epi8(low, zero)) != 0,
	    .has_dot_line = _mm_movemask_epi8(dots) != 0 };
}
#endif

/* The bytes of the block at p that are c. */
static inline uint64_t
block_eq(const char *p, char c)
{
#ifdef __SSE2__
	return block_eq_sse2(p, c);
#else
	return block_eq_word(p, c);
#endif
}

/* The bytes of the block at p from 0x80 up. */
static inline uint64_t
block_high(const char *p)
{
#ifdef __SSE2__
	return block_high_sse2(p);
#else
	return block_high_word(p);
#endif
}

/* What there is in the run at p; reads the byte on either side of it, too. */
static inline struct run
run_look(const char *p)
{
#ifdef __SSE2__
	return run_look_sse2(p);
#else
	return run_look_word(p);
#endif
}

#endif
