/* A tree of elements over expat.
 *
 *   text ──pieces──▶ expat ──▶ begin, characters, end ──▶ nodes in an arena, with line and column
 *
 * Lines are counted along the way from byte positions: far cheaper than asking expat for each element. expat hands out
 * the same pointer for the same name, so a name is looked up, and kept, once and not for each element. Characters are
 * asked for only where an element holds some. What can fail: text that is no XML, a document type, too much depth,
 * memory. */
#include "decom/xml.h"

#include <expat.h>

#include "base/hash.h"

#define TABLE_SIZE 512 /* tags, at most half full */
#define SEEN_SIZE  256
#define PIECE      (64u << 10) /* what expat gets at once: it copies it, into memory that stays in the cache */

struct seen { /* a name, by expat's pointer to it; what it says is compared all the same */
    const char *pointer, *whole, *local;
    uint32_t size;
    uint16_t tag;
    bool foreign;
};

struct reader {
    struct yd_arena *arena;
    struct yd_diagnostics *diagnostics;
    XML_Parser parser;
    struct yd_str text;
    uint32_t file;
    struct yd__xml *root, *stack[YD__XML_DEPTH_MAX];
    unsigned depth;
    struct yd_buf characters;
    const char *const *tags;
    uint16_t table[TABLE_SIZE];
    struct seen seen[SEEN_SIZE];
    const char *prefix;
    size_t prefix_size;
    uint64_t events;
    size_t at; /* lines and columns are counted up to here */
    uint32_t line, column;
    int error;
};

static struct yd_place place_of(struct reader *reader, size_t offset, uint32_t length)
{
    const char *data = reader->text.data;
    offset = YD_MIN(offset, reader->text.size);
    for (const char *end; offset > reader->at && (end = memchr(data + reader->at, '\n', offset - reader->at));) {
        reader->at = (size_t)(end - data) + 1;
        reader->line++;
        reader->column = 1;
    }
    for (; reader->at < offset; reader->at++) reader->column += ((unsigned char)data[reader->at] & 0xc0) != 0x80;
    return (struct yd_place){reader->file, reader->line, reader->column, length};
}

static struct yd_place here(struct reader *reader, uint32_t length)
{
    XML_Index at = XML_GetCurrentByteIndex(reader->parser);
    return place_of(reader, at < 0 ? 0 : (size_t)at, length);
}

static void stop(struct reader *reader, int error)
{
    if (!reader->error) reader->error = error;
    (void)XML_StopParser(reader->parser, XML_FALSE);
}

static uint16_t tag_of(const struct reader *reader, const char *name)
{
    for (size_t i = yd_hash_str(yd_str_of(name)) % TABLE_SIZE; reader->table[i]; i = (i + 1) % TABLE_SIZE)
        if (strcmp(reader->tags[reader->table[i] - 1], name) == 0) return reader->table[i];
    return 0;
}

static const char *behind_prefix(const char *name)
{
    const char *colon = strchr(name, ':');
    return colon ? colon + 1 : name;
}

/* What is known about a name. NULL: no memory. */
static const struct seen *name_of(struct reader *reader, const char *name)
{
    struct seen *seen = &reader->seen[yd_hash_id((uintptr_t)name) >> 56];
    _Static_assert(SEEN_SIZE == 1 << (64 - 56), "the hash's upper bits choose");
    if (YD_LIKELY(seen->pointer == name && strcmp(seen->whole, name) == 0)) return seen;
    const char *whole = yd_arena_cstr(reader->arena, yd_str_of(name));
    if (!whole) return NULL;
    if (!reader->prefix) { /* the first name of all is the outermost element's */
        reader->prefix_size = (size_t)(behind_prefix(whole) - whole);
        reader->prefix = whole;
    }
    /* xmlns and xmlns:xtce keep their whole name. */
    const char *local = strncmp(whole, "xmlns", 5) == 0 ? whole : behind_prefix(whole);
    bool foreign = (size_t)(behind_prefix(whole) - whole) != reader->prefix_size ||
                   memcmp(whole, reader->prefix, reader->prefix_size) != 0;
    uint16_t tag = tag_of(reader, behind_prefix(whole));
    *seen = (struct seen){name, whole, local, (uint32_t)YD_MIN(strlen(whole), (size_t)199), tag, foreign};
    return seen;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* An element's text matters when there is some in front of its first child. Whatever is no blank and no tag may be
 * some: references, CDATA, comments in between, text in another encoding. */
static bool may_have_text(const struct reader *reader)
{
    XML_Index at = XML_GetCurrentByteIndex(reader->parser);
    size_t i = at < 0 ? 0 : (size_t)at + (size_t)XML_GetCurrentByteCount(reader->parser), size = reader->text.size;
    const char *data = reader->text.data;
    while (i < size && is_blank(data[i])) i++;
    if (i + 1 >= size || data[i] != '<') return true;
    char next = data[i + 1];
    return !((next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z') || next == '/');
}

static void XMLCALL on_characters(void *opaque, const XML_Char *data, int size);

static void XMLCALL on_begin(void *opaque, const XML_Char *name, const XML_Char **attributes)
{
    struct reader *reader = opaque;
    if (reader->error) return;
    reader->events++;
    const struct seen *seen = name_of(reader, name);
    if (!seen) {
        stop(reader, YD_ENOMEM);
        return;
    }
    struct yd_place place = here(reader, seen->size + 1);
    if (reader->depth == YD__XML_DEPTH_MAX) {
        yd_def_error(reader->diagnostics, YD_D_LIMIT, place, "", "more than %d elements in each other",
                     YD__XML_DEPTH_MAX);
        stop(reader, YD_EFORMAT);
        return;
    }
    /* The node, its attributes and their values in one piece. */
    size_t count = 0, size = sizeof(struct yd__xml);
    for (; attributes[count]; count += 2) size += 2 * sizeof(char *) + strlen(attributes[count + 1]) + 1;
    struct yd__xml *node = yd_arena_get(reader->arena, size + sizeof(char *));
    if (!node) {
        stop(reader, YD_ENOMEM);
        return;
    }
    *node = (struct yd__xml){.text = YD_STR(""),
                             .name = seen->tag ? reader->tags[seen->tag - 1] : behind_prefix(seen->whole),
                             .tag = seen->tag,
                             .foreign = reader->root && seen->foreign,
                             .place = place};
    const char **copies = (const char **)(node + 1);
    char *to = (char *)(copies + count + 1);
    for (size_t i = 0; i < count; i += 2) {
        const struct seen *attribute = name_of(reader, attributes[i]);
        if (!attribute) {
            stop(reader, YD_ENOMEM);
            return;
        }
        size_t length = strlen(attributes[i + 1]) + 1;
        copies[i] = attribute->local;
        copies[i + 1] = memcpy(to, attributes[i + 1], length);
        to += length;
    }
    copies[count] = NULL;
    node->attributes = copies;
    if (!reader->root) {
        reader->root = node;
    } else {
        struct yd__xml *parent = reader->stack[reader->depth - 1];
        if (parent->last)
            parent->last->next = node;
        else
            parent->first = node;
        parent->last = node;
    }
    reader->stack[reader->depth++] = node;
    yd_buf_clear(&reader->characters);
    XML_SetCharacterDataHandler(reader->parser, may_have_text(reader) ? on_characters : NULL);
}

static void XMLCALL on_characters(void *opaque, const XML_Char *data, int size)
{
    struct reader *reader = opaque;
    reader->events++;
    if (reader->error || !reader->depth || reader->stack[reader->depth - 1]->first) return;
    yd_buf_add(&reader->characters, data, (size_t)size);
}

static void XMLCALL on_end(void *opaque, const XML_Char *name)
{
    struct reader *reader = opaque;
    (void)name;
    if (reader->error) return;
    reader->events++;
    struct yd__xml *node = reader->stack[--reader->depth];
    XML_SetCharacterDataHandler(reader->parser, NULL); /* the parent has a child: what text it has is none */
    if (!reader->characters.size && !reader->characters.failed) return;
    struct yd_str text = yd_buf_view(&reader->characters);
    if (reader->characters.failed) stop(reader, YD_ENOMEM);
    while (text.size && is_blank(text.data[0])) text.data++, text.size--;
    while (text.size && is_blank(text.data[text.size - 1])) text.size--;
    if (!node->first && text.size) {
        node->text = yd_arena_str(reader->arena, text);
        if (!node->text.data) stop(reader, YD_ENOMEM);
    }
    yd_buf_clear(&reader->characters);
}

static void XMLCALL on_doctype(void *opaque, const XML_Char *name, const XML_Char *system, const XML_Char *public,
                               int internal)
{
    struct reader *reader = opaque;
    (void)name, (void)system, (void)public, (void)internal;
    yd_def_error(reader->diagnostics, YD_D_SYNTAX, here(reader, 9), "",
                 "a document type is not read: it could name other files or grow without end");
    yd_def_help(reader->diagnostics, "take <!DOCTYPE …> and its entities out");
    stop(reader, YD_EFORMAT);
}

/* A token that is longer than a piece is looked at again from its beginning with each one: pieces grow with it. */
static enum XML_Status parse(struct reader *reader)
{
    size_t piece = PIECE, at = 0;
    for (;;) {
        uint64_t before = reader->events;
        size_t size = YD_MIN(reader->text.size - at, piece);
        if (!size) return XML_Parse(reader->parser, "", 0, 1);
        void *room = XML_GetBuffer(reader->parser, (int)size);
        if (!room) return XML_STATUS_ERROR;
        memcpy(room, reader->text.data + at, size);
        at += size;
        enum XML_Status status = XML_ParseBuffer(reader->parser, (int)size, at == reader->text.size);
        if (status != XML_STATUS_OK || at == reader->text.size) return status;
        if (reader->events == before) piece = YD_MIN(piece * 2, (size_t)INT32_MAX / 4);
    }
}

int yd__xml_read(struct yd_str text, uint32_t file, const char *const *tags, size_t tag_count, struct yd_arena *arena,
                 struct yd_diagnostics *diagnostics, struct yd__xml **ret_root)
{
    struct reader reader = {
        .arena = arena, .diagnostics = diagnostics, .text = text, .file = file, .tags = tags, .line = 1, .column = 1};
    *ret_root = NULL;
    if (text.size > INT32_MAX) return YD_ETOOBIG;
    for (size_t i = 0; i < tag_count; i++) {
        size_t at = yd_hash_str(yd_str_of(tags[i])) % TABLE_SIZE;
        while (reader.table[at]) at = (at + 1) % TABLE_SIZE;
        reader.table[at] = (uint16_t)(i + 1);
    }
    if (!(reader.parser = XML_ParserCreate(NULL))) return YD_ENOMEM;
    yd_buf_init(&reader.characters, arena->alloc);
    XML_SetUserData(reader.parser, &reader);
    XML_SetElementHandler(reader.parser, on_begin, on_end);
    XML_SetStartDoctypeDeclHandler(reader.parser, on_doctype);
    enum XML_Status status = parse(&reader);
    if (status != XML_STATUS_OK && !reader.error) {
        enum XML_Error code = XML_GetErrorCode(reader.parser);
        reader.error = code == XML_ERROR_NO_MEMORY ? YD_ENOMEM : YD_EFORMAT;
        if (reader.error == YD_EFORMAT)
            yd_def_error(diagnostics, YD_D_SYNTAX, here(&reader, 1), "", "this is no XML: %s", XML_ErrorString(code));
    }
    XML_ParserFree(reader.parser);
    yd_buf_fini(&reader.characters);
    if (!reader.error) *ret_root = reader.root;
    return reader.error;
}

const char *yd__xml_attribute(const struct yd__xml *node, const char *name)
{
    for (const char **at = node->attributes; *at; at += 2)
        if (at[0][0] == name[0] && strcmp(at[0], name) == 0) return at[1];
    return NULL;
}
