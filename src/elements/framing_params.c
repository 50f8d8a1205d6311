/* The parameters of framing, in words: see framing.h. What a family does not use must not be given: who gives it means
 * another family. */
#include <stdio.h>

#include "base/text.h"
#include "elements/framing.h"

const char *const yd_framing_words[] = {[YD_FRAMING_FIXED] = "fixed",       [YD_FRAMING_LENGTH] = "length",
                                        [YD_FRAMING_SYNC] = "sync",         [YD_FRAMING_SPACE_PACKET] = "space_packet",
                                        [YD_FRAMING_TM_FRAME] = "tm_frame", [YD_FRAMING_MAVLINK] = "mavlink",
                                        [YD_FRAMING_COBS] = "cobs",         [YD_FRAMING_SLIP] = "slip",
                                        [YD_FRAMING_LINES] = "lines",       NULL};
const char *const yd_framing_orders[] = {"big", "little", NULL};
const char *const yd_framing_counts[] = {"rest", "packet", NULL};
const char *const yd_framing_checksums[] = {"none",         "ccitt",     "crc8",      "crc8_maxim",    "crc16_ccitt",
                                            "crc16_xmodem", "crc16_aug", "crc16_x25", "crc16_mcrf4xx", "crc16_kermit",
                                            "crc16_modbus", "crc16_arc", "crc24",     "crc32",         "crc32_mpeg2",
                                            "crc32c",       "sum8",      "sum16",     "sum32",         "xor8",
                                            "fletcher16",   "adler32",   NULL};

static int nibble(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool parse_sync(struct yd_str text, struct yd_framing_options *options)
{
    if (text.size % 2 || text.size > 2 * sizeof options->sync) return false;
    for (size_t i = 0; i < text.size; i += 2) {
        int high = nibble(text.data[i]), low = nibble(text.data[i + 1]);
        if (high < 0 || low < 0) return false;
        options->sync[i / 2] = (uint8_t)(high << 4 | low);
    }
    options->sync_size = (uint32_t)(text.size / 2);
    return true;
}

/* Keys of maps are words: "m147". */
static bool parse_extras(const struct yd_arg *map, struct yd_framing_options *options)
{
    for (size_t i = 0; map && i < map->list.count; i++) {
        const struct yd_arg *item = &map->list.items[i];
        struct yd_str name = yd_str_of(item->name ? item->name : "");
        uint64_t message;
        if (name.size && *name.data == 'm') name.data++, name.size--;
        if (options->extra_count == YD_FRAMING_EXTRAS_MAX || yd_text_u64(name, &message) || message > 0xffffff ||
            item->type != YD_PARAM_INT || item->i64 < 0 || item->i64 > 255)
            return false;
        options->extras[options->extra_count].message = (uint32_t)message;
        options->extras[options->extra_count++].extra = (uint8_t)item->i64;
    }
    return true;
}

static void read_all(const struct yd_args *args, struct yd_framing_options *options)
{
    while (!yd_str_eq(yd_args_text(args, "framing"), yd_str_of(yd_framing_words[options->family]))) options->family++;
    options->size_max = (uint32_t)yd_args_int(args, "max_size");
    options->size = (uint32_t)yd_args_int(args, "size");
    options->strip = (uint32_t)yd_args_int(args, "strip");
    struct yd_str checksum = yd_args_text(args, "checksum");
    if (yd_str_eq(checksum, YD_STR("ccitt"))) checksum = YD_STR("crc16_ccitt"); /* its name before there were others */
    options->checksum = yd_checksum_find(checksum);
    options->checksum_little = yd_str_eq(yd_args_text(args, "checksum_order"), YD_STR("little"));
    options->length.offset = (uint32_t)yd_args_int(args, "length_offset");
    options->length.size = (uint32_t)yd_args_int(args, "length_size");
    options->length.little = yd_str_eq(yd_args_text(args, "length_order"), YD_STR("little"));
    options->length.more = (int32_t)yd_args_int(args, "length_adjust");
    if (yd_str_eq(yd_args_text(args, "length_counts"), YD_STR("rest")))
        options->length.more += (int32_t)(options->length.offset + options->length.size);
}

static const char *wrong_with(const struct yd_framing_options *o)
{
    bool sized = o->family == YD_FRAMING_FIXED || o->family == YD_FRAMING_TM_FRAME;
    bool synced = o->family == YD_FRAMING_SYNC || o->family == YD_FRAMING_TM_FRAME;
    bool checked = o->family != YD_FRAMING_MAVLINK && o->family != YD_FRAMING_LINES;
    if (sized && !o->size) return "`fixed` and `tm_frame` need `size`";
    if (o->size && !sized && o->family != YD_FRAMING_SYNC) return "`size` belongs to `fixed`, `tm_frame` and `sync`";
    if (o->size > o->size_max) return "`size` is above `max_size`";
    if (o->family == YD_FRAMING_SYNC && !o->sync_size) return "`sync` needs its word: sync: \"eb90\"";
    if (o->sync_size && !synced) return "`sync` belongs to `sync` and `tm_frame`";
    if (o->family == YD_FRAMING_SYNC && o->size && o->size <= o->sync_size) return "`size` counts the sync word, too";
    if (o->checksum && !checked) return "`checksum` does not go with this framing";
    if (o->checksum_little && !o->checksum) return "`checksum_order` is of a `checksum`";
    if (o->checksum && o->size &&
        o->size < yd_checksum_bits(o->checksum) / 8 + (o->family == YD_FRAMING_SYNC ? o->sync_size : 0))
        return "`size` has no room for the checksum";
    if (o->length.offset + o->length.size > o->size_max) return "the length field is beyond `max_size`";
    if (o->extra_count && o->family != YD_FRAMING_MAVLINK) return "`crc_extra` belongs to `mavlink`";
    return NULL;
}

int yd_framing_options_from(const struct yd_args *args, struct yd_framing_options *ret, char *why, size_t why_size)
{
    struct yd_framing_options options = {0};
    const char *wrong = NULL;
    read_all(args, &options);
    struct yd_str sync = yd_args_text(args, "sync");
    if (options.family == YD_FRAMING_TM_FRAME && !sync.size) sync = YD_STR("1acffc1d");
    if (!parse_sync(sync, &options))
        wrong = "`sync` is 1 to 8 bytes in hex: sync: \"1acffc1d\"";
    else if (!parse_extras(yd_args_find(args, "crc_extra"), &options))
        wrong = "`crc_extra` is up to 64 messages by id: crc_extra: {m147: 154}";
    else
        wrong = wrong_with(&options);
    if (wrong) {
        snprintf(why, why_size, "framing: %s", wrong);
        return YD_EINVAL;
    }
    *ret = options;
    return 0;
}
