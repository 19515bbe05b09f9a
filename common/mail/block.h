/*
 * block.h - where certain bytes stand in a block of 64, as a mask: bit i is
 * set for byte i.
 *
 * What has to look at every byte of a message asks here once for 64 of them.
 * Two ways lead to the same masks: SSE2, and eight bytes at a time in a word
 * for other machines; tests call both.
 */
#ifndef MAIL_BLOCK_H
#define MAIL_BLOCK_H

#include <endian.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define BLOCK_BYTES	64

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

#ifdef __SSE2__
static inline uint64_t
block_eq_sse2(const char *p, char c)
{
	const __m128i	all_c = _mm_set1_epi8(c);
	uint64_t	mask = 0;
	__m128i		v;

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

	for (int i = 0; i < BLOCK_BYTES; i += 16) {
		v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
		mask |= (uint64_t)(unsigned)_mm_movemask_epi8(v) << i;
	}
	return mask;
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

#endif
