/* Pickle's stack machine: see pickle_machine.h. */
#include "elements/pickle_machine.h"

struct run {
    struct yd_pickle_machine *machine;
    const char *at, *end;
    size_t memo_max; /* an index beyond it is nobody's: a memo entry costs a byte or more */
};

/* Nothing but these is known; of the rest, `CODE` tells those that would do something from those that are nothing. */
enum op {
    OP_MARK = '(',
    OP_STOP = '.',
    OP_POP = '0',
    OP_POP_MARK = '1',
    OP_DUP = '2',
    OP_FLOAT = 'F',
    OP_INT = 'I',
    OP_BININT = 'J',
    OP_BININT1 = 'K',
    OP_LONG = 'L',
    OP_BININT2 = 'M',
    OP_NONE = 'N',
    OP_STRING = 'S',
    OP_BINSTRING = 'T',
    OP_SHORT_BINSTRING = 'U',
    OP_UNICODE = 'V',
    OP_BINUNICODE = 'X',
    OP_EMPTY_LIST = ']',
    OP_APPEND = 'a',
    OP_APPENDS = 'e',
    OP_GET = 'g',
    OP_BINGET = 'h',
    OP_LONG_BINGET = 'j',
    OP_LIST = 'l',
    OP_PUT = 'p',
    OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r',
    OP_TUPLE = 't',
    OP_EMPTY_TUPLE = ')',
    OP_BINFLOAT = 'G',
    OP_BINBYTES = 'B',
    OP_SHORT_BINBYTES = 'C',
    OP_PROTO = 0x80,
    OP_TUPLE1 = 0x85,
    OP_TUPLE2 = 0x86,
    OP_TUPLE3 = 0x87,
    OP_NEWTRUE = 0x88,
    OP_NEWFALSE = 0x89,
    OP_LONG1 = 0x8a,
    OP_LONG4 = 0x8b,
    OP_SHORT_BINUNICODE = 0x8c,
    OP_BINUNICODE8 = 0x8d,
    OP_BINBYTES8 = 0x8e,
    OP_MEMOIZE = 0x94,
    OP_FRAME = 0x95,
};
/* GLOBAL, REDUCE, BUILD, INST, OBJ, PERSID, BINPERSID, NEWOBJ, EXT1, EXT2, EXT4, NEWOBJ_EX, STACK_GLOBAL */
#define CODE "cRbioPQ\x81\x82\x83\x84\x92\x93"

/* ---- arrays ---- */

static enum yd_pickle_end grow(struct yd_alloc *alloc, struct yd_pickle_array *array, size_t item_size, size_t count)
{
    if (count <= array->capacity) return YD_PICKLE_OK;
    size_t capacity = array->capacity ? 2 * array->capacity : 256;
    if (capacity < count) capacity = count;
    void *grown = yd_alloc_resize(alloc, array->items, array->capacity * item_size, capacity * item_size);
    if (!grown) return YD_PICKLE_OUT_OF_MEMORY;
    array->items = grown;
    array->capacity = capacity;
    return YD_PICKLE_OK;
}

static uint32_t *stack_of(struct run *run)
{
    return run->machine->stack.items;
}

static struct yd_pickle_node *node_of(struct run *run, uint32_t node)
{
    return (struct yd_pickle_node *)run->machine->nodes.items + node;
}

static enum yd_pickle_end push(struct run *run, uint32_t node)
{
    struct yd_pickle_array *stack = &run->machine->stack;
    enum yd_pickle_end end = grow(run->machine->alloc, stack, sizeof(uint32_t), stack->count + 1);
    if (end == YD_PICKLE_OK) stack_of(run)[stack->count++] = node;
    return end;
}

static enum yd_pickle_end push_new(struct run *run, struct yd_pickle_node node)
{
    struct yd_pickle_array *nodes = &run->machine->nodes;
    enum yd_pickle_end end = grow(run->machine->alloc, nodes, sizeof node, nodes->count + 1);
    if (end != YD_PICKLE_OK) return end;
    *node_of(run, (uint32_t)nodes->count) = node;
    return push(run, (uint32_t)nodes->count++);
}

static enum yd_pickle_end push_number(struct run *run, double number)
{
    return push_new(run, (struct yd_pickle_node){.type = YD_PICKLE_NUMBER, .number = number});
}

static enum yd_pickle_end push_text(struct run *run, struct yd_str text)
{
    return push_new(run, (struct yd_pickle_node){.type = YD_PICKLE_TEXT, .text = text});
}

/* ---- what stands in the pickle ---- */

static enum yd_pickle_end take(struct run *run, size_t size, struct yd_str *ret)
{
    if (size > (size_t)(run->end - run->at)) return YD_PICKLE_MALFORMED;
    *ret = (struct yd_str){run->at, size};
    run->at += size;
    return YD_PICKLE_OK;
}

/* Up to a line feed, which is taken too. */
static enum yd_pickle_end take_line(struct run *run, struct yd_str *ret)
{
    const char *lf = memchr(run->at, '\n', (size_t)(run->end - run->at));
    if (!lf) return YD_PICKLE_MALFORMED;
    *ret = (struct yd_str){run->at, (size_t)(lf - run->at)};
    run->at = lf + 1;
    return YD_PICKLE_OK;
}

static enum yd_pickle_end take_little(struct run *run, size_t size, uint64_t *ret)
{
    struct yd_str bytes;
    enum yd_pickle_end end = take(run, size, &bytes);
    *ret = 0;
    if (end == YD_PICKLE_OK)
        for (size_t i = size; i-- > 0;) *ret = *ret << 8 | (unsigned char)bytes.data[i];
    return end;
}

static enum yd_pickle_end counted_text(struct run *run, size_t size_size)
{
    uint64_t size;
    struct yd_str text;
    enum yd_pickle_end end = take_little(run, size_size, &size);
    if (end == YD_PICKLE_OK) end = take(run, size, &text);
    return end == YD_PICKLE_OK ? push_text(run, text) : end;
}

/* ---- numbers ---- */

static enum yd_pickle_end decimal(struct run *run, bool is_long)
{
    struct yd_str text;
    double number;
    enum yd_pickle_end end = take_line(run, &text);
    if (end != YD_PICKLE_OK) return end;
    if (is_long && text.size && text.data[text.size - 1] == 'L') text.size--;
    if (yd_text_f64(text, true, &number) < 0) return YD_PICKLE_MALFORMED;
    return push_number(run, number); /* "I00" and "I01" are False and True */
}

static enum yd_pickle_end binary_int(struct run *run, size_t size)
{
    uint64_t number;
    enum yd_pickle_end end = take_little(run, size, &number);
    if (end != YD_PICKLE_OK) return end;
    return push_number(run, size == 4 ? (double)(int32_t)(uint32_t)number : (double)number);
}

/* Two's complement of any size: beyond 64 bits rounded, far beyond infinite. */
static enum yd_pickle_end binary_long(struct run *run, size_t size_size)
{
    uint64_t size;
    struct yd_str bytes;
    double number = 0, unit = 1;
    enum yd_pickle_end end = take_little(run, size_size, &size);
    if (end == YD_PICKLE_OK) end = take(run, size, &bytes);
    if (end != YD_PICKLE_OK) return end;
    if (size && size <= 8) {
        uint64_t bits = (unsigned char)bytes.data[size - 1] & 0x80 ? UINT64_MAX : 0;
        for (size_t i = size; i-- > 0;) bits = bits << 8 | (unsigned char)bytes.data[i];
        return push_number(run, (double)(int64_t)bits);
    }
    if (size > 127) return YD_PICKLE_MALFORMED; /* no double is as large */
    for (size_t i = 0; i < size; i++, unit *= 256) number += unit * (unsigned char)bytes.data[i];
    if (size && (unsigned char)bytes.data[size - 1] & 0x80) number -= unit;
    return push_number(run, number);
}

static enum yd_pickle_end binary_float(struct run *run)
{
    struct yd_str bytes;
    uint64_t bits = 0;
    double number;
    enum yd_pickle_end end = take(run, 8, &bytes);
    if (end != YD_PICKLE_OK) return end;
    for (size_t i = 0; i < 8; i++) bits = bits << 8 | (unsigned char)bytes.data[i];
    memcpy(&number, &bits, 8);
    return push_number(run, number);
}

/* ---- texts with escapes ---- */

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool take_hex(struct yd_str text, size_t at, size_t digits, uint32_t *ret)
{
    *ret = 0;
    if (text.size - at < digits) return false;
    for (size_t i = 0; i < digits; i++) {
        int digit = hex(text.data[at + i]);
        if (digit < 0) return false;
        *ret = *ret << 4 | (uint32_t)digit;
    }
    return true;
}

static void put_utf8(struct yd_buf *to, uint32_t code)
{
    if (code < 0x80) {
        yd_buf_char(to, (char)code);
    } else if (code < 0x800) {
        yd_buf_char(to, (char)(0xc0 | code >> 6));
        yd_buf_char(to, (char)(0x80 | (code & 0x3f)));
    } else if (code < 0x10000) { /* a half of a pair is no UTF-8: the name will be refused for it */
        yd_buf_char(to, (char)(0xe0 | code >> 12));
        yd_buf_char(to, (char)(0x80 | (code >> 6 & 0x3f)));
        yd_buf_char(to, (char)(0x80 | (code & 0x3f)));
    } else {
        yd_buf_char(to, (char)(0xf0 | (code >> 18 & 7)));
        yd_buf_char(to, (char)(0x80 | (code >> 12 & 0x3f)));
        yd_buf_char(to, (char)(0x80 | (code >> 6 & 0x3f)));
        yd_buf_char(to, (char)(0x80 | (code & 0x3f)));
    }
}

/* Raw-unicode-escape: bytes are Latin-1; \uXXXX and \UXXXXXXXX are what they say, other backslashes themselves. */
static enum yd_pickle_end unicode_line(struct run *run)
{
    struct yd_buf *to = &run->machine->texts;
    struct yd_str text;
    enum yd_pickle_end end = take_line(run, &text);
    size_t start = to->size;
    uint32_t code;
    if (end != YD_PICKLE_OK) return end;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i], what = c == '\\' && i + 1 < text.size ? text.data[i + 1] : 0;
        size_t digits = what == 'u' ? 4 : what == 'U' ? 8 : 0;
        if (digits && take_hex(text, i + 2, digits, &code)) {
            if (code > 0x10ffff) return YD_PICKLE_MALFORMED;
            i += 1 + digits;
        } else if (digits) {
            return YD_PICKLE_MALFORMED;
        } else {
            code = (unsigned char)c;
        }
        put_utf8(to, code);
    }
    return push_text(run, (struct yd_str){to->data + start, to->size - start});
}

static char unescaped(char c)
{
    switch (c) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case 'r':
        return '\r';
    default:
        return c; /* \\ \' \" */
    }
}

/* As Python 2 prints a str: in quotes of one kind, with escapes. */
static enum yd_pickle_end quoted_line(struct run *run)
{
    struct yd_buf *to = &run->machine->texts;
    struct yd_str text;
    enum yd_pickle_end end = take_line(run, &text);
    size_t start = to->size;
    uint32_t code;
    if (end != YD_PICKLE_OK) return end;
    if (text.size < 2 || (text.data[0] != '\'' && text.data[0] != '"') || text.data[text.size - 1] != text.data[0])
        return YD_PICKLE_MALFORMED;
    text.data++, text.size -= 2;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '\\') {
            if (++i == text.size) return YD_PICKLE_MALFORMED;
            c = unescaped(text.data[i]);
            if (text.data[i] == 'x') {
                if (!take_hex(text, i + 1, 2, &code)) return YD_PICKLE_MALFORMED;
                c = (char)code;
                i += 2;
            }
        }
        yd_buf_char(to, c);
    }
    return push_text(run, (struct yd_str){to->data + start, to->size - start});
}

/* ---- lists and tuples ---- */

/* Where the newest mark is; the count of the stack: there is none. */
static size_t find_mark(struct run *run)
{
    size_t at = run->machine->stack.count;
    while (at > 0)
        if (node_of(run, stack_of(run)[--at])->type == YD_PICKLE_MARK) return at;
    return run->machine->stack.count;
}

/* Appends what is on the stack from `from` on to a sequence, and takes it off. */
static enum yd_pickle_end append(struct run *run, uint32_t sequence, size_t from)
{
    struct yd_pickle_machine *machine = run->machine;
    size_t count = machine->stack.count - from;
    enum yd_pickle_end end =
        grow(machine->alloc, &machine->cells, sizeof(struct yd_pickle_cell), machine->cells.count + count);
    if (end != YD_PICKLE_OK) return end;
    struct yd_pickle_node *node = node_of(run, sequence);
    struct yd_pickle_cell *cells = machine->cells.items;
    for (size_t i = 0; i < count; i++) {
        uint32_t cell = (uint32_t)machine->cells.count++, item = stack_of(run)[from + i];
        if (node_of(run, item)->type == YD_PICKLE_MARK) return YD_PICKLE_MALFORMED;
        cells[cell] = (struct yd_pickle_cell){item, YD_PICKLE_NONE};
        if (node->sequence.first == YD_PICKLE_NONE)
            node->sequence.first = cell;
        else
            cells[node->sequence.last].next = cell;
        node->sequence.last = cell;
    }
    machine->stack.count = from;
    return YD_PICKLE_OK;
}

/* A sequence of what is on the stack from `from` on; below stands a mark or nothing to be taken off. */
static enum yd_pickle_end make(struct run *run, size_t from, bool marked, bool mutable)
{
    struct yd_pickle_machine *machine = run->machine;
    struct yd_pickle_node node = {.type = YD_PICKLE_SEQUENCE, .sequence = {YD_PICKLE_NONE, YD_PICKLE_NONE, mutable}};
    enum yd_pickle_end end = push_new(run, node);
    if (end != YD_PICKLE_OK) return end;
    uint32_t made = stack_of(run)[--machine->stack.count];
    end = append(run, made, from);
    if (marked) machine->stack.count--;
    return end == YD_PICKLE_OK ? push(run, made) : end;
}

static enum yd_pickle_end make_marked(struct run *run, bool mutable)
{
    size_t mark = find_mark(run);
    if (mark == run->machine->stack.count) return YD_PICKLE_MALFORMED;
    return make(run, mark + 1, true, mutable);
}

static enum yd_pickle_end make_tuple(struct run *run, size_t count)
{
    if (run->machine->stack.count < count) return YD_PICKLE_MALFORMED;
    return make(run, run->machine->stack.count - count, false, false);
}

/* To the list that stands under what is from `from` on (and under its mark). */
static enum yd_pickle_end append_to_list(struct run *run, size_t from, bool marked)
{
    if (from < (size_t)(marked ? 2 : 1)) return YD_PICKLE_MALFORMED;
    uint32_t list = stack_of(run)[from - (marked ? 2 : 1)];
    const struct yd_pickle_node *node = node_of(run, list);
    if (node->type != YD_PICKLE_SEQUENCE || !node->sequence.mutable) return YD_PICKLE_MALFORMED;
    enum yd_pickle_end end = append(run, list, from);
    if (marked) run->machine->stack.count--;
    return end;
}

/* ---- stack and memo ---- */

static enum yd_pickle_end top(struct run *run, uint32_t *ret_node)
{
    if (run->machine->stack.count == 0) return YD_PICKLE_MALFORMED;
    *ret_node = stack_of(run)[run->machine->stack.count - 1];
    return YD_PICKLE_OK;
}

static enum yd_pickle_end keep(struct run *run, uint64_t index)
{
    struct yd_pickle_array *memo = &run->machine->memo;
    uint32_t node;
    enum yd_pickle_end end = top(run, &node);
    if (end == YD_PICKLE_OK && (index >= run->memo_max || node_of(run, node)->type == YD_PICKLE_MARK))
        end = YD_PICKLE_MALFORMED;
    if (end == YD_PICKLE_OK) end = grow(run->machine->alloc, memo, sizeof(uint32_t), index + 1);
    if (end != YD_PICKLE_OK) return end;
    while (memo->count <= index) ((uint32_t *)memo->items)[memo->count++] = YD_PICKLE_NONE;
    ((uint32_t *)memo->items)[index] = node;
    return YD_PICKLE_OK;
}

static enum yd_pickle_end recall(struct run *run, uint64_t index)
{
    const struct yd_pickle_array *memo = &run->machine->memo;
    if (index >= memo->count || ((uint32_t *)memo->items)[index] == YD_PICKLE_NONE) return YD_PICKLE_MALFORMED;
    return push(run, ((uint32_t *)memo->items)[index]);
}

/* What keeps or recalls, by an index of `size` bytes, or in decimal (0). */
static enum yd_pickle_end by_index(struct run *run, size_t size,
                                   enum yd_pickle_end (*then)(struct run *run, uint64_t index))
{
    struct yd_str text;
    uint64_t index = 0;
    enum yd_pickle_end end = size ? take_little(run, size, &index) : take_line(run, &text);
    if (end == YD_PICKLE_OK && !size && yd_text_u64(text, &index) < 0) end = YD_PICKLE_MALFORMED;
    return end == YD_PICKLE_OK ? then(run, index) : end;
}

static enum yd_pickle_end pop(struct run *run, size_t to)
{
    if (to >= run->machine->stack.count) return YD_PICKLE_MALFORMED;
    run->machine->stack.count = to;
    return YD_PICKLE_OK;
}

/* ---- the machine ---- */

static enum yd_pickle_end step_text(struct run *run, unsigned char op)
{
    switch ((enum op)op) {
    case OP_STRING:
        return quoted_line(run);
    case OP_UNICODE:
        return unicode_line(run);
    case OP_SHORT_BINSTRING:
    case OP_SHORT_BINBYTES:
    case OP_SHORT_BINUNICODE:
        return counted_text(run, 1);
    case OP_BINSTRING:
    case OP_BINBYTES:
    case OP_BINUNICODE:
        return counted_text(run, 4);
    case OP_BINBYTES8:
    case OP_BINUNICODE8:
        return counted_text(run, 8);
    default: /* 0 ends CODE, and is no code */
        return op && strchr(CODE, (char)op) ? YD_PICKLE_HAS_CODE : YD_PICKLE_MALFORMED;
    }
}

static enum yd_pickle_end step_scalar(struct run *run, unsigned char op)
{
    switch ((enum op)op) {
    case OP_NONE:
        return push_new(run, (struct yd_pickle_node){.type = YD_PICKLE_NIL});
    case OP_NEWTRUE:
    case OP_NEWFALSE:
        return push_number(run, op == OP_NEWTRUE);
    case OP_INT:
    case OP_FLOAT:
        return decimal(run, false);
    case OP_LONG:
        return decimal(run, true);
    case OP_BININT:
        return binary_int(run, 4);
    case OP_BININT1:
        return binary_int(run, 1);
    case OP_BININT2:
        return binary_int(run, 2);
    case OP_LONG1:
        return binary_long(run, 1);
    case OP_LONG4:
        return binary_long(run, 4);
    case OP_BINFLOAT:
        return binary_float(run);
    default:
        return step_text(run, op);
    }
}

static enum yd_pickle_end step_memo(struct run *run, unsigned char op)
{
    switch ((enum op)op) {
    case OP_PUT:
        return by_index(run, 0, keep);
    case OP_BINPUT:
        return by_index(run, 1, keep);
    case OP_LONG_BINPUT:
        return by_index(run, 4, keep);
    case OP_MEMOIZE:
        return keep(run, run->machine->memo.count);
    case OP_GET:
        return by_index(run, 0, recall);
    case OP_BINGET:
        return by_index(run, 1, recall);
    case OP_LONG_BINGET:
        return by_index(run, 4, recall);
    default:
        return step_scalar(run, op);
    }
}

static enum yd_pickle_end step(struct run *run, unsigned char op)
{
    struct yd_str skipped;
    size_t count = run->machine->stack.count, mark;
    uint32_t node;
    switch ((enum op)op) {
    case OP_PROTO:
        return take(run, 1, &skipped);
    case OP_FRAME:
        return take(run, 8, &skipped);
    case OP_MARK:
        return push_new(run, (struct yd_pickle_node){.type = YD_PICKLE_MARK});
    case OP_POP:
        return pop(run, count - 1); /* of none: too far */
    case OP_POP_MARK:
        return pop(run, find_mark(run));
    case OP_DUP:
        if (top(run, &node) != YD_PICKLE_OK || node_of(run, node)->type == YD_PICKLE_MARK) return YD_PICKLE_MALFORMED;
        return push(run, node);
    case OP_EMPTY_LIST:
        return make(run, count, false, true);
    case OP_EMPTY_TUPLE:
        return make_tuple(run, 0);
    case OP_TUPLE1:
    case OP_TUPLE2:
    case OP_TUPLE3:
        return make_tuple(run, (size_t)(op - OP_TUPLE1) + 1);
    case OP_TUPLE:
        return make_marked(run, false);
    case OP_LIST:
        return make_marked(run, true);
    case OP_APPEND:
        return count ? append_to_list(run, count - 1, false) : YD_PICKLE_MALFORMED;
    case OP_APPENDS:
        mark = find_mark(run);
        return mark == count ? YD_PICKLE_MALFORMED : append_to_list(run, mark + 1, true);
    default:
        return step_memo(run, op);
    }
}

enum yd_pickle_end yd__pickle_run(struct yd_pickle_machine *machine, struct yd_str text, uint32_t *ret_root)
{
    struct run run = {machine, text.data, text.data + text.size, text.size};
    enum yd_pickle_end end = YD_PICKLE_OK;
    machine->nodes.count = machine->cells.count = machine->stack.count = machine->memo.count = 0;
    yd_buf_clear(&machine->texts);
    /* All texts with escapes find room there, so that those made before stay where they are. */
    if (!yd_buf_reserve(&machine->texts, 2 * text.size + 8)) return YD_PICKLE_OUT_OF_MEMORY;
    while (end == YD_PICKLE_OK) {
        if (run.at == run.end) return YD_PICKLE_MALFORMED;
        unsigned char op = (unsigned char)*run.at++;
        if (op == OP_STOP) {
            if (machine->stack.count != 1 || run.at != run.end) return YD_PICKLE_MALFORMED;
            (void)top(&run, ret_root);
            return node_of(&run, *ret_root)->type == YD_PICKLE_MARK ? YD_PICKLE_MALFORMED : YD_PICKLE_OK;
        }
        end = step(&run, op);
    }
    return end;
}

void yd__pickle_init(struct yd_pickle_machine *machine, struct yd_alloc *alloc)
{
    *machine = (struct yd_pickle_machine){.alloc = alloc};
    yd_buf_init(&machine->texts, alloc);
}

void yd__pickle_fini(struct yd_pickle_machine *machine)
{
    yd_alloc_put(machine->alloc, machine->nodes.items, machine->nodes.capacity * sizeof(struct yd_pickle_node));
    yd_alloc_put(machine->alloc, machine->cells.items, machine->cells.capacity * sizeof(struct yd_pickle_cell));
    yd_alloc_put(machine->alloc, machine->stack.items, machine->stack.capacity * sizeof(uint32_t));
    yd_alloc_put(machine->alloc, machine->memo.items, machine->memo.capacity * sizeof(uint32_t));
    yd_buf_fini(&machine->texts);
}
