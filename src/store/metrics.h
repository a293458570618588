/* What the writer counts for /metrics. Written by the writer alone, read by anybody at any time. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/* Bucket i counts what was below 2^i (microseconds, operations); the last one also all above. */
#define STORE_BUCKETS 24

struct store_histogram {
	_Atomic uint64_t bucket[STORE_BUCKETS];
	_Atomic uint64_t sum;
	_Atomic uint64_t count;
};

struct store_metrics {
	struct store_histogram group_ops;  /* operations in a commit */
	struct store_histogram group_us;   /* from taking a group to answering it */
	struct store_histogram commit_us;  /* COMMIT alone, the sync of the WAL included */
	struct store_histogram content_us; /* fdatasync of the segment */
	struct store_histogram checkpoint_us;
	_Atomic uint64_t accepted;   /* messages */
	_Atomic uint64_t duplicates; /* submissions answered with the first id */
	_Atomic uint64_t refused;    /* ACCEPT and FINISH answered with an error */
	_Atomic uint64_t replayed;   /* groups that failed and were replayed singly */
	_Atomic uint64_t disk_errors;
	_Atomic uint64_t refilled; /* rows handed out by REFILL */
	_Atomic uint64_t wal_bytes;
	_Atomic uint64_t segments; /* segment files */
	_Atomic uint64_t moved;    /* messages moved out of old segments */
	_Atomic uint64_t pruned;   /* messages whose history was deleted */
};

/* Upper bound of bucket `i`. */
static inline uint64_t
store_histogram_bound(unsigned i)
{
	return (uint64_t)1 << i;
}
