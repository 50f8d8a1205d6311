/* The batch: THE format, from the socket to the disk to shared memory to the next node.
 *
 *   frame = header (128 bytes) | body | zero padding to a multiple of 64
 *   body  = count × record (24) | names × name entry (16) | heap (entries 8-byte aligned)
 *
 * Little-endian. Record i is pointer arithmetic. A batch is immutable and reference-counted; whoever stamps a
 * header (the log does) stamps a copy of its own and shares the body.
 * Needs libc only. Functions are safe in any thread unless they take a builder, which belongs to one. */
#ifndef YARDER_BATCH_H
#define YARDER_BATCH_H

#include <yarder/bytes.h>
#include <yarder/error.h>

#define YD_BATCH_MAGIC       UINT32_C(0x42445901) /* never zero: zeroed file space is never a batch */
#define YD_BATCH_VERSION     1
#define YD_BATCH_HEADER_SIZE 128
#define YD_BATCH_ALIGN       64
#define YD_BATCH_SIZE_MAX    (UINT32_C(64) << 20) /* a whole frame */
#define YD_BATCH_DEPTH_MAX   32                   /* nesting of LIST and MAP */
#define YD_NAME_SIZE_MAX     4095                 /* bytes of a qualified name */

enum yd_kind { YD_SAMPLE = 1, YD_TALLY, YD_DELTA, YD_STATE, YD_EVENT, YD_FACT, YD_PACKET, YD_ROW, YD_KIND_COUNT };
#define YD_KIND_BIT(kind) (UINT32_C(1) << (kind))
#define YD_KINDS_ALL      (((UINT32_C(1) << YD_KIND_COUNT) - 1) & ~UINT32_C(1))
#define YD_KINDS_NUMERIC  (YD_KIND_BIT(YD_SAMPLE) | YD_KIND_BIT(YD_TALLY) | YD_KIND_BIT(YD_DELTA))
const char *yd_kind_name(enum yd_kind kind); /* "SAMPLE"; "?" when unknown */
/* YD_KIND_BITs by comma ("state, fact"), in either case; 0: not understood. And back; returns the size. */
uint32_t yd_kinds_parse(struct yd_str text);
size_t yd_kinds_format(uint32_t kinds, char *to, size_t size);

enum yd_type { YD_NIL, YD_BOOL, YD_I64, YD_U64, YD_F64, YD_TEXT, YD_BLOB, YD_LIST, YD_MAP, YD_TYPE_COUNT };
const char *yd_type_name(enum yd_type type);

enum yd_codec { YD_CODEC_NONE, YD_CODEC_LZ4, YD_CODEC_ZSTD, YD_CODEC_FOREIGN };

#define YD_FLAG_SORTED 0x01 /* header.flags: records sorted by time */

/* record.flags */
#define YD_RECORD_CODE_MASK  0x0003 /* STATE: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN */
#define YD_RECORD_STALE      0x0004 /* STATE: not fresh */
#define YD_RECORD_TRANSITION 0x0008 /* STATE: code or freshness changed */
#define YD_RECORD_ROLLOVER   0x0010 /* a counter wrapped */
#define YD_RECORD_QUALITY    0x0020 /* the value is suspect */
#define YD_RECORD_TOMBSTONE  0x0040 /* the name is forgotten from here on */

struct yd_header {
    uint32_t magic;
    uint16_t version;
    uint8_t codec;
    uint8_t flags;
    uint32_t size;       /* whole frame, multiple of 64 */
    uint32_t header_crc; /* CRC32C of the header with this field zero; by the last writer */
    uint64_t base_seqno; /* by the log: record i has base_seqno + i */
    uint32_t count;
    uint32_t body_crc;  /* CRC32C of the body as stored; by the producer, once, end to end */
    uint32_t body_size; /* as stored */
    uint32_t raw_size;  /* when not compressed */
    uint64_t log_id;    /* this incarnation of the stream */
    uint32_t epoch;
    uint32_t prev_crc;      /* header_crc of the batch before */
    uint64_t durable_seqno; /* next seqno after the last one known durable when this was written */
    int64_t time_min, time_max;
    int64_t append_time;
    uint64_t producer_id;  /* 0: none */
    uint64_t producer_seq; /* last of its input consumed by this batch */
    uint32_t producer_epoch;
    uint32_t kinds; /* bit set of YD_KIND_BIT */
    uint32_t names; /* entries of the names table */
    uint8_t reserved[12];
};

/* A value: the scalar, or where in the heap its bytes or cells are. */
union yd_value {
    uint64_t bits;
    int64_t i64;
    uint64_t u64;
    double f64;
    struct {
        uint32_t offset, size; /* into the heap; for LIST and MAP size covers count and cells */
    } heap;
};

struct yd_record {
    int64_t time_ns; /* since 1970 UTC */
    uint32_t name;   /* index into the names table */
    uint8_t kind;
    uint8_t type;
    uint16_t flags;
    union yd_value value;
};

struct yd_name_entry {
    uint32_t offset, size; /* into the heap */
    uint64_t hash;         /* XXH3 of the name: checked, so it may be trusted. Equal hashes do not make equal names */
};

/* LIST and MAP on the heap: struct yd_cells, then `count` cells. A LIST's cells have name YD_NO_NAME. */
struct yd_cell {
    uint32_t name; /* index into the names table */
    uint8_t type;
    uint8_t reserved[3];
    union yd_value value;
};
struct yd_cells {
    uint32_t count, reserved;
    struct yd_cell cell[];
};
#define YD_NO_NAME UINT32_MAX

_Static_assert(sizeof(struct yd_header) == 128 && offsetof(struct yd_header, base_seqno) == 16 &&
                   offsetof(struct yd_header, log_id) == 40 && offsetof(struct yd_header, time_min) == 64 &&
                   offsetof(struct yd_header, producer_epoch) == 104 && offsetof(struct yd_header, names) == 112,
               "the header's layout is the format");
_Static_assert(sizeof(struct yd_record) == 24 && offsetof(struct yd_record, value) == 16, "record layout");
_Static_assert(sizeof(struct yd_name_entry) == 16 && sizeof(struct yd_cell) == 16 && sizeof(struct yd_cells) == 8,
               "table layouts");

/* A view: a checked body, read by pointer arithmetic. It owns nothing. */
struct yd_view {
    const struct yd_record *records;
    const struct yd_name_entry *names;
    const char *heap;
    uint32_t count, name_count, heap_size;
};

/* Header alone, in this order: magic (YD_EFORMAT), version (YD_EVERSION), header_crc (YD_ECORRUPT), limits
 * (YD_ETOOBIG), and whatever else can be known without the body: at least one record, sizes that agree, known kinds,
 * flags and codec, reserved bytes zero (YD_EFORMAT). size is how many bytes are there: YD_EAGAIN when they are fewer
 * than the frame has; from sizeof *header on, header->size tells how many those are. */
int yd_header_check(const struct yd_header *header, size_t size);
uint32_t yd_header_crc(const struct yd_header *header);
/* Everything a reader relies on, so that nothing needs to be checked again: the body's checksum (when check_crc:
 * YD_ECORRUPT); and, or YD_EFORMAT:
 *   records  name in the table; kind and type known; PACKET is BLOB or NIL, ROW is MAP or NIL; no unknown flags; NIL is
 *            zero, BOOL 0 or 1; header.kinds, time_min and time_max exactly theirs; sorted if SORTED is claimed
 *   names    valid UTF-8 without NUL, at most YD_NAME_SIZE_MAX bytes, hash right. May repeat; may be empty or unused
 *   heap     each entry 8-byte aligned, zero-padded, inside; an empty one at 0; TEXT valid UTF-8 without NUL; cells
 *            complete, reserved bytes zero, at most YD_BATCH_DEPTH_MAX levels. All entries together are exactly as
 *            large as the heap, so none is shared and nothing is hidden
 * Any times go. For codec NONE only (YD_ENOTSUP otherwise: decompress first); body is 8-byte aligned (YD_EINVAL). */
int yd_view_open(const struct yd_header *header, const void *body, bool check_crc, struct yd_view *ret_view);

static inline struct yd_str yd_view_name(const struct yd_view *view, uint32_t name)
{
    return (struct yd_str){view->heap + view->names[name].offset, view->names[name].size};
}
static inline struct yd_str yd_view_bytes(const struct yd_view *view, union yd_value value)
{
    return (struct yd_str){view->heap + value.heap.offset, value.heap.size};
}
static inline const struct yd_cells *yd_view_cells(const struct yd_view *view, union yd_value value)
{
    return (const struct yd_cells *)(const void *)(view->heap + value.heap.offset);
}
/* The cell of that name in a MAP, or NULL. */
const struct yd_cell *yd_view_find(const struct yd_view *view, union yd_value map, struct yd_str name);
/* A numeric value as a double (BOOL, I64, U64, F64); false for other types. */
bool yd_value_number(enum yd_type type, union yd_value value, double *ret);

/* Record `index` as one JSON object, as `yarder log cat --json` prints it: {"seqno":7,"time":"2026-11-21T01:02:03Z",
 * "name":"cpu.load host=web1","kind":"SAMPLE","value":1.5}. Writes at most `size` bytes with the terminator and returns
 * how many there are without it, as snprintf does; YD_ENOMEM. */
int yd_record_to_json(const struct yd_view *view, uint32_t index, uint64_t seqno, char *to, size_t size);

/* The bytes behind a batch: whoever made them says how they go (a heap block, a mapped segment, a socket buffer). */
struct yd_body {
    uint32_t refs; /* atomic */
    uint32_t size;
    const void *data;
    void (*release)(struct yd_body *body); /* called once, at zero references, in any thread */
};
void yd_body_ref(struct yd_body *body);
void yd_body_unref(struct yd_body *body); /* NULL is quiet */

struct yd_batch {
    struct yd_header header;
    struct yd_view view; /* empty for a codec other than NONE */
    struct yd_body *body;
    uint32_t refs;              /* atomic */
    struct yd_origins *origins; /* who brought its names; NULL: not known. See yd_batch_origin */
};
/* Who brought this name of the batch, as its way in calls the peer (an address without the port); "": not known. In
 * memory only: a selection keeps it; a slice, what is stamped anew, and what was stored do not have it. Of a name that
 * several bring in one batch it is the first. */
struct yd_str yd_batch_origin(const struct yd_batch *batch, uint32_t name);

/* From untrusted bytes: checks all, the zero padding too, and copies header and body. `size` must hold the whole frame
 * (YD_EAGAIN); frame may be unaligned. For other codecs than NONE only header and checksum are checked. */
int yd_batch_from_bytes(const void *frame, size_t size, struct yd_batch **ret_batch);
/* From a header and a body that may be shared; checks all (the body's checksum too when check_crc). Takes a reference
 * to the body. */
int yd_batch_from_body(const struct yd_header *header, struct yd_body *body, bool check_crc,
                       struct yd_batch **ret_batch);
/* The same body behind another header (the log's stamp). header must agree with the body: it is not checked again.
 * header_crc is computed here. */
int yd_batch_restamp(const struct yd_batch *batch, const struct yd_header *header, struct yd_batch **ret_batch);
struct yd_batch *yd_batch_ref(struct yd_batch *batch); /* returns its argument */
void yd_batch_unref(struct yd_batch *batch);           /* NULL is quiet */
/* Memory that this batch keeps alive: what queues count. */
static inline size_t yd_batch_cost(const struct yd_batch *batch)
{
    return sizeof *batch + batch->header.body_size;
}
/* Writes the whole frame; `to` has header.size bytes. */
void yd_batch_to_bytes(const struct yd_batch *batch, void *to);

/* A sub-range or a selection of records as a batch of its own, names and heap rebuilt, never larger than its source.
 * keep: one byte a record. A slice keeps seqnos (base_seqno + first), log_id, epoch and append_time; a selection has
 * none. YD_EAGAIN: nothing selected; YD_ERANGE; YD_ENOTSUP: compressed. */
int yd_batch_slice(const struct yd_batch *batch, uint32_t first, uint32_t count, struct yd_batch **ret_batch);
int yd_batch_select(const struct yd_batch *batch, const uint8_t *keep, struct yd_batch **ret_batch);
/* By the hash of each record's name: to[i], for i < partitions, is the part that belongs to partition i of a stream, in
 * its order, or NULL. The parts say the same producer_* as the whole: each partition knows by itself what it has
 * already. A record named yarder.tombstone belongs to each: it may cover names in any. A batch that belongs to one
 * partition alone is given as it is. YD_ENOMEM, YD_ENOTSUP: `to` is all NULL. */
int yd_batch_split(struct yd_batch *batch, uint32_t partitions, struct yd_batch **to);

/* The builder: interns names, bounded, reusable. One thread. */
struct yd_builder;
struct yd_builder_options {
    uint32_t size_max;    /* of a sealed frame; 0: 1 MiB; at least 8 KiB (smaller ones are taken as that) */
    uint32_t records_max; /* 0: as many as fit */
    uint32_t names_max;   /* 0: 1 << 20, which is the most */
    void *alloc;          /* struct yd_alloc *, NULL: the C library's */
};
int yd_builder_create(const struct yd_builder_options *options, struct yd_builder **ret_builder);
void yd_builder_destroy(struct yd_builder *builder);

/* Index of a name in this batch, interning it. YD_ETOOBIG over YD_NAME_SIZE_MAX, YD_EFORMAT when it is not UTF-8 or has
 * a NUL, YD_EFULL when the batch is full (seal, which may say YD_EAGAIN if there were only names, and try again:
 * indices are new then), YD_ENOMEM.
 * The plain form first tries the name that followed the last one before: names in the same order as ever cost a
 * comparison. The hashed form takes a hash that the caller has: yd_hash of the bytes, or readers refuse the batch. */
int yd_builder_name(struct yd_builder *builder, struct yd_str name, uint32_t *ret_name);
int yd_builder_name_hashed(struct yd_builder *builder, struct yd_str name, uint64_t hash, uint32_t *ret_name);

/* Names that are new in the batch from here on were brought by him, in this batch and the next ones; "": by nobody who
 * is known. Texts over 62 bytes are cut. Cheap when it is the same one as before. */
void yd_builder_origin(struct yd_builder *builder, struct yd_str origin);

/* Prefetches the slot that interning this hash will read, for names in groups. */
void yd_builder_prefetch(const struct yd_builder *builder, uint64_t hash);

/* For a caller who keeps names and their hashes by himself and knows that this one is valid UTF-8 and not in the batch
 * yet: adds it without looking. Such a name is not found by the two above. */
int yd_builder_name_fresh(struct yd_builder *builder, struct yd_str name, uint64_t hash, uint32_t *ret_name);

/* One record with a scalar. YD_EFULL: seal, intern the name anew and try again. YD_EINVAL: what yd_view_open would
 * refuse. In all of these YD_ETOOBIG means that it does not fit an empty batch either. */
int yd_builder_add(struct yd_builder *builder, int64_t time_ns, uint32_t name, enum yd_kind kind, enum yd_type type,
                   uint16_t flags, union yd_value value);
/* TEXT (valid UTF-8 without NUL, else YD_EFORMAT) or BLOB: the bytes are copied. */
int yd_builder_add_bytes(struct yd_builder *builder, int64_t time_ns, uint32_t name, enum yd_kind kind,
                         enum yd_type type, uint16_t flags, struct yd_str bytes);
/* LIST and MAP, nested: begin, then for each cell a yd_builder_cell… (name ignored inside a LIST) or another begin,
 * then end. The outermost end adds the record. Any failure abandons the record with its names, not the batch. */
int yd_builder_begin(struct yd_builder *builder, int64_t time_ns, uint32_t name, enum yd_kind kind, uint16_t flags,
                     enum yd_type list_or_map);
int yd_builder_cell(struct yd_builder *builder, struct yd_str name, enum yd_type type, union yd_value value);
int yd_builder_cell_bytes(struct yd_builder *builder, struct yd_str name, enum yd_type type, struct yd_str bytes);
int yd_builder_nest(struct yd_builder *builder, struct yd_str name, enum yd_type list_or_map);
int yd_builder_end(struct yd_builder *builder);
/* Copies record `index` of a view, name and heap and all. */
int yd_builder_copy(struct yd_builder *builder, const struct yd_view *view, uint32_t index);
/* The same under another name: an index from yd_builder_name of this batch. */
int yd_builder_copy_as(struct yd_builder *builder, const struct yd_view *view, uint32_t index, uint32_t name);

/* The parser's fast path: room for up to `want` records, filled by the caller (scalars; names from yd_builder_name,
 * which may be called in between), then committed by count. ret_room may be less than want; no room is YD_EFULL.
 * Reserving again forgets what was not committed; before anything else is added or sealed, commit (0 is fine).
 * Sealing finds times, kinds and sortedness in one pass and answers YD_EINVAL for records that cannot be. */
int yd_builder_reserve(struct yd_builder *builder, uint32_t want, struct yd_record **ret_records, uint32_t *ret_room);
void yd_builder_commit(struct yd_builder *builder, uint32_t count);

uint32_t yd_builder_count(const struct yd_builder *builder);
size_t yd_builder_size(const struct yd_builder *builder); /* of the frame if sealed now */
/* Seals: count, times, kinds, body checksum. Empties the builder for the next batch, even on failure.
 * YD_EAGAIN when it is empty. The batch has header.producer_* zero: yd_batch_restamp sets them. */
int yd_builder_seal(struct yd_builder *builder, struct yd_batch **ret_batch);
void yd_builder_abandon(struct yd_builder *builder); /* forgets what is in it */

#endif
