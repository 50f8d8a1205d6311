/* Definitions of others become `.ydm` that decodes the same; what is not supported is named; mistakes have places. */
#include "testing.h"

#include "decom/convert.h"
#include "decom/xtce.h"
#include "decom/ydm.h"
#include "decom/ydm_write.h"

#include "decoded.h"

typedef int reader(const char *path, struct yd_str text, struct yd_alloc *alloc, struct yd_diagnostics *diagnostics,
                   struct yd_def **ret_def);

struct converted {
    struct yd_buf ydm, said;
    int result;
};

static void convert(struct converted *to, reader *read, const char *path, struct yd_str text)
{
    struct yd_diagnostics diagnostics;
    struct yd_def *def = NULL;
    yd_diagnostics_init(&diagnostics, NULL);
    yd_buf_init(&to->ydm, NULL);
    yd_buf_init(&to->said, NULL);
    to->result = read(path, text, NULL, &diagnostics, &def);
    if (to->result == 0) (void)yd_ydm_write(def, &to->ydm);
    assert_true((to->result < 0) == (diagnostics.errors > 0));
    yd_diagnostics_print(&diagnostics, false, &to->said);
    yd_buf_char(&to->said, 0);
    yd_buf_char(&to->ydm, 0);
    yd_def_destroy(def);
    yd_diagnostics_fini(&diagnostics);
}

static void converted_fini(struct converted *converted)
{
    yd_buf_fini(&converted->ydm);
    yd_buf_fini(&converted->said);
}

/* The text in its format, packets, and the lines they give. */
static void expect_from(reader *read, const char *path, const char *text, const char *hex, const char *lines)
{
    struct converted converted;
    struct decoded decoded;
    convert(&converted, read, path, yd_str_of(text));
    if (converted.result < 0) print_message("%s\n", converted.said.data);
    assert_int_equal(converted.result, 0);
    decode_raw(&decoded, converted.ydm.data, hex, false);
    if (strcmp(decoded.lines.data, lines) != 0) print_message("%s\n", converted.ydm.data);
    assert_string_equal(decoded.lines.data, lines);
    decoded_fini(&decoded);
    converted_fini(&converted);
}

static void expect_mistake(reader *read, const char *path, const char *text, const char *where, const char *words)
{
    struct converted converted;
    convert(&converted, read, path, yd_str_of(text));
    if (!strstr(converted.said.data, words) || !strstr(converted.said.data, where))
        print_message("wanted %s %s, said:\n%s\n", where, words, converted.said.data);
    assert_true(converted.result < 0);
    assert_non_null(strstr(converted.said.data, words));
    assert_non_null(strstr(converted.said.data, where));
    converted_fini(&converted);
}

static void expect_warning(reader *read, const char *path, const char *text, const char *words)
{
    struct converted converted;
    convert(&converted, read, path, yd_str_of(text));
    if (!strstr(converted.said.data, words)) print_message("wanted %s, said:\n%s\n", words, converted.said.data);
    assert_int_equal(converted.result, 0);
    assert_non_null(strstr(converted.said.data, words));
    converted_fini(&converted);
}

/* ---- COSMOS ---- */

#define TELEMETRY "TELEMETRY T P BIG_ENDIAN \"doc\"\n"

static void cosmos_items_have_types_and_places(void **state)
{
    (void)state;
    expect_from(yd_cosmos_read, "a.txt",
                TELEMETRY "  APPEND_ID_ITEM ID 8 UINT 1 \"id\"\n  APPEND_ITEM A 16 INT\n  APPEND_ITEM B 32 FLOAT 'x'\n"
                          "  ITEM C 8 4 UINT\n  APPEND_ARRAY_ITEM D 8 UINT 16\n  APPEND_ITEM S 24 STRING\n"
                          "  APPEND_ITEM R 0 BLOCK\n",
                "01 ff fe 3f 80 00 00 05 06 61 62 00 fe fd",
                "T.P.ID=1\nT.P.A=-2\nT.P.B=1\nT.P.C=15\nT.P.D.0=5\nT.P.D.1=6\nT.P.S=ab\nT.P.R=fefd\n");
    expect_from(yd_cosmos_read, "a.txt", TELEMETRY "ITEM A -16 16 UINT\nITEM B 0 8 UINT \"\" LITTLE_ENDIAN\n",
                "01 00 00 12 34", "T.P.B=1\nT.P.A=4660\n");
}

/* The bit offset of a little-endian bitfield is that of its most significant bit; it goes on towards the packet's
 * beginning. 0xABC in the low twelve bits of a little-endian 16-bit word lies as BC A?: its top bit is bit 12. */
static void cosmos_little_endian_bitfields_begin_at_their_most_significant_bit(void **state)
{
    (void)state;
    expect_from(yd_cosmos_read, "a.txt", "TELEMETRY T P LITTLE_ENDIAN\nITEM LOW 12 12 UINT\nITEM HIGH 8 4 UINT\n",
                "bc da", "T.P.LOW=2748\nT.P.HIGH=13\n");
    /* 16 bits in whole bytes are plain; 24 bits are a bitfield whose offset points to the last byte. */
    expect_from(yd_cosmos_read, "a.txt", "TELEMETRY T P LITTLE_ENDIAN\nITEM A 0 16 UINT\nITEM B 32 24 UINT\n",
                "34 12 03 02 01", "T.P.A=4660\nT.P.B=66051\n");
    /* A field inside of one byte is where it is in a big-endian packet, too. */
    expect_from(yd_cosmos_read, "a.txt", "TELEMETRY T P LITTLE_ENDIAN\nITEM A 0 4 UINT\nITEM B 4 4 UINT\n", "12",
                "T.P.A=1\nT.P.B=2\n");
    expect_mistake(yd_cosmos_read, "a.txt", "TELEMETRY T P LITTLE_ENDIAN\nITEM A 0 12 UINT\n", "a.txt:2:6",
                   "the little-endian bitfield 'A' begins before the packet");
}

static void cosmos_states_conversions_and_limits(void **state)
{
    (void)state;
    expect_from(yd_cosmos_read, "a.txt",
                TELEMETRY
                "APPEND_ITEM A 8 UINT\n POLY_READ_CONVERSION 1.5 2\n UNITS Volts V\n FORMAT_STRING \"%0.1f\"\n"
                "APPEND_ITEM B 8 UINT\n STATE OFF 0\n STATE ON 0x01 RED\n STATE ODD ANY\n"
                "APPEND_ITEM C 8 UINT\n SEG_POLY_READ_CONVERSION 0 1 2\n SEG_POLY_READ_CONVERSION 10 5 0.5 1\n"
                "APPEND_ITEM D 8 INT\n LIMITS DEFAULT 2 ENABLED -10 -5 5 10\n",
                "02 01 03 07 | 03 07 14 01",
                "T.P.A=5.5\nT.P.D=7\nT.P.B=ON\nT.P.C=7\nT.P.A=7.5\nT.P.D=1\nT.P.B=ODD\nT.P.C=415\n");
    /* Segments go by their bounds, whatever the order of their lines; below all of them the lowest one counts. */
    expect_from(yd_cosmos_read, "a.txt",
                TELEMETRY "APPEND_ITEM C 8 INT\n SEG_POLY_READ_CONVERSION 10 100\n SEG_POLY_READ_CONVERSION 0 1 2\n "
                          "SEG_POLY_READ_CONVERSION 5 50\n",
                "ff | 04 | 05 | 0f", "T.P.C=-1\nT.P.C=9\nT.P.C=50\nT.P.C=100\n");
    expect_mistake(yd_cosmos_read, "a.txt",
                   TELEMETRY "APPEND_ITEM C 8 INT\n SEG_POLY_READ_CONVERSION 1 2\n SEG_POLY_READ_CONVERSION 1 3\n",
                   "a.txt:4:27", "two segments begin at '1'");
    struct converted converted;
    convert(&converted, yd_cosmos_read, "a.txt",
            YD_STR(TELEMETRY "APPEND_ITEM D 8 INT\n LIMITS DEFAULT 2 ENABLED -10 -5 5 10\n LIMITS TVAC 1 ENABLED -4 -3 "
                             "3 4\n"));
    assert_non_null(strstr(converted.ydm.data, "limits yellow -5..5 red -10..10 persist 2"));
    assert_non_null(strstr(converted.ydm.data, "limits set TVAC yellow -3..3 red -4..4"));
    converted_fini(&converted);
}

static void cosmos_programs_are_refused_or_named(void **state)
{
    (void)state;
    expect_mistake(yd_cosmos_read, "a.txt", TELEMETRY "<% 3.times do |i| %>\nAPPEND_ITEM A<%= i %> 8 UINT\n<% end %>\n",
                   "a.txt:2:1", "is ERB");
    expect_warning(yd_cosmos_read, "a.txt", TELEMETRY "APPEND_ITEM A 8 UINT\nITEM B 0 0 DERIVED\n", "'B' is DERIVED");
    expect_warning(yd_cosmos_read, "a.txt",
                   TELEMETRY
                   "APPEND_ITEM A 8 UINT\n READ_CONVERSION a.rb\n GENERIC_READ_CONVERSION_START\n  value + 1\n "
                   "GENERIC_READ_CONVERSION_END\n",
                   "READ_CONVERSION is not read");
    expect_mistake(yd_cosmos_read, "a.txt", TELEMETRY "APPEND_ITEM A x UINT\nAPPEND_ITEM B 8 FLOAT\n", "a.txt:3:17",
                   "no 'FLOAT' has so many bits");
    expect_mistake(yd_cosmos_read, "a.txt", TELEMETRY "APPEND_ITEM A 8 UINT\nAPPEND_ITEM A 8 UINT\n", "a.txt:3:13",
                   "already");
    expect_mistake(yd_cosmos_read, "a.txt", TELEMETRY "APPEND_ITEM R 0 BLOCK\nAPPEND_ITEM A 8 UINT\n", "a.txt:3:13",
                   "cannot be appended");
    expect_mistake(yd_cosmos_read, "a.txt", "APPEND_ITEM A 8 UINT\n", "a.txt:1:1", "belongs to no packet");
    expect_mistake(yd_cosmos_read, "a.txt", "", "a.txt", "no TELEMETRY packet");
}

/* ---- CSV ---- */

static void csv_fields_follow_the_primary_header(void **state)
{
    (void)state;
    expect_from(yd_csv_read, "/x/imu.csv",
                "name,data_type,bit_length\nA,uint,12\nB,int,4\n\"C\",float,32\nPAD,fill,8\nD,uint(2),8\nN,uint,8\n"
                "E,\"uint(N)\",8\nS,str,16\nREST,uint(expand),8\r\n",
                "08 01 c0 00 00 10  12 3f 40 00 00 00 00 05 06 02 07 08 61 62 fe ff",
                "imu.A=291\nimu.B=-1\nimu.C=2\nimu.D.0=5\nimu.D.1=6\nimu.N=2\nimu.E.0=7\nimu.E.1=8\nimu.S=ab\n"
                "imu.REST.0=254\nimu.REST.1=255\n");
    expect_from(yd_csv_read, "p.csv", "name,data_type,bit_length,bit_offset\nA,uint,8,56\nB,uint,8,48\n",
                "08 01 c0 00 00 10 01 02", "p.A=2\np.B=1\n");
}

static void csv_mistakes_have_their_place(void **state)
{
    (void)state;
    expect_mistake(yd_csv_read, "p.csv", "name,bits\n", "p.csv:1:1", "none is 'data_type'");
    expect_mistake(yd_csv_read, "p.csv", "name,data_type,bit_length\nA,word,8\nB,uint,x\n", "p.csv:2:3",
                   "no type 'word'");
    expect_mistake(yd_csv_read, "p.csv", "name,data_type,bit_length\nA,word,8\nB,uint,x\n", "p.csv:3:8",
                   "no number of bits");
    expect_mistake(yd_csv_read, "p.csv", "name,data_type,bit_length\nA,uint,65\n", "p.csv:2:8", "'65' bits");
    expect_mistake(yd_csv_read, "p.csv", "name,data_type,bit_length\nA,uint(expand),8\nB,uint,8\n", "p.csv:3:1",
                   "goes to the end");
    expect_mistake(yd_csv_read, "p.csv", "", "p.csv", "nothing in it");
}

/* ---- GSW ---- */

#define YAML                                                                                                           \
    "name: r\nmeasurements:\n  - {name: a, size: 3, type: int}\n  - name: b\n    size: 5\n    type: int\n"             \
    "    unsigned: true\n    endianness: little\n  - {name: c, size: 4, type: float, scaling: 0.5}\n"                  \
    "  - {name: s, size: 4, type: string}\n"

static void gsw_measurements_of_odd_widths(void **state)
{
    (void)state;
    expect_from(
        yd_gsw_read, "v.yaml", YAML "telemetry_packets:\n  - {name: p, port: 8000, measurements: [a, b, c, s]}\n",
        "ff ff fe  01 02 03 04 05  40 00 00 00  61 62 63 00", "r.p.a=-2\nr.p.b=21542142465\nr.p.c=1\nr.p.s=abc\n");
    expect_from(yd_gsw_read, "v.yaml",
                "measurements:\n  a: {size: 7, unsigned: true}\n  b: {size: 6, unsigned: false}\ntelemetry_packets:\n"
                "  p: {measurements: [b, a]}\n",
                "ff ff ff ff ff fd  00 00 00 00 00 01 00", "p.b=-3\np.a=256\n");
}

static void gsw_mistakes_have_their_place(void **state)
{
    (void)state;
    expect_mistake(yd_gsw_read, "v.yaml", YAML "telemetry_packets:\n  - {name: p, measurements: [x]}\n", "v.yaml:12:30",
                   "no measurement 'x'");
    expect_mistake(yd_gsw_read, "v.yaml", "a: [\n", "v.yaml:", "this is no YAML");
    expect_mistake(yd_gsw_read, "v.yaml", "a: &x [*x]\n", "v.yaml:1:8", "a reference to another place");
    expect_mistake(yd_gsw_read, "v.yaml",
                   "measurements: [{name: a, size: 9, type: int}]\ntelemetry_packets: [{name: p, measurements: [a]}]\n",
                   "v.yaml:1:32", "'9' bytes");
    expect_mistake(yd_gsw_read, "v.yaml", "", "v.yaml", "nothing in it");
    struct yd_buf deep;
    yd_buf_init(&deep, NULL);
    for (int i = 0; i < 1000; i++) yd_buf_char(&deep, '[');
    yd_buf_char(&deep, 0);
    expect_mistake(yd_gsw_read, "v.yaml", deep.data, "v.yaml:1:", "in each other");
    yd_buf_fini(&deep);
}

/* ---- the same packet in all formats ---- */

#define XTCE_TYPE(name, bits, encoding, order)                                                                         \
    "<IntegerParameterType name='" name "'><IntegerDataEncoding sizeInBits='" bits "' encoding='" encoding             \
    "' byteOrder='" order "'/></IntegerParameterType>"
#define XTCE_REF(name) "<ParameterRefEntry parameterRef='" name "'/>"
#define HEADER_XTCE    "<IntegerParameterType name='h'><IntegerDataEncoding sizeInBits='48'/></IntegerParameterType>"

static const struct {
    reader *read;
    const char *path, *text;
} five[] = {
    {yd_ydm_read, "p.ydm",
     "packet p\n  h u48\n  a u16\n  b i24\n  c f32\n  d u8 scale 0.5 offset 0\n  e u16\n  s text(4)\n  ...\n"},
    {yd_xtce_read, "p.xml",
     "<SpaceSystem name='p' "
     "xmlns='http://www.omg.org/spec/XTCE/20180204'><TelemetryMetaData><ParameterTypeSet>" HEADER_XTCE XTCE_TYPE(
         "a", "16", "unsigned", "mostSignificantByteFirst") XTCE_TYPE("b", "24", "twosComplement", "2,1,0")
         XTCE_TYPE("e", "16", "unsigned",
                   "mostSignificantByteFirst") "<FloatParameterType name='c'><FloatDataEncoding/></FloatParameterType>"
                                               "<FloatParameterType name='d'><IntegerDataEncoding "
                                               "sizeInBits='8'><DefaultCalibrator><PolynomialCalibrator>"
                                               "<Term coefficient='0.5' "
                                               "exponent='1'/></PolynomialCalibrator></DefaultCalibrator></"
                                               "IntegerDataEncoding>"
                                               "</FloatParameterType><StringParameterType "
                                               "name='s'><StringDataEncoding><SizeInBits><Fixed><FixedValue>32"
                                               "</FixedValue></Fixed></SizeInBits></StringDataEncoding></"
                                               "StringParameterType></ParameterTypeSet><ParameterSet>"
                                               "<Parameter name='h' parameterTypeRef='h'/><Parameter name='a' "
                                               "parameterTypeRef='a'/><Parameter name='b' "
                                               "parameterTypeRef='b'/><Parameter name='c' "
                                               "parameterTypeRef='c'/><Parameter name='d' parameterTypeRef='d'/>"
                                               "<Parameter name='e' parameterTypeRef='e'/><Parameter name='s' "
                                               "parameterTypeRef='s'/></ParameterSet><ContainerSet>"
                                               "<SequenceContainer name='q'><EntryList>" XTCE_REF("h") XTCE_REF("a")
                                                   XTCE_REF("b") XTCE_REF("c") XTCE_REF("d") XTCE_REF("e")
                                                       XTCE_REF("s") "</EntryList></SequenceContainer></ContainerSet></"
                                                                     "TelemetryMetaData></SpaceSystem>"},
    {yd_cosmos_read, "p.txt",
     "TELEMETRY x p BIG_ENDIAN\nAPPEND_ITEM h 48 UINT\nAPPEND_ITEM a 16 UINT\nAPPEND_ITEM b 24 INT\nAPPEND_ITEM c 32 "
     "FLOAT\nAPPEND_ITEM d 8 UINT\n POLY_READ_CONVERSION 0 0.5\nAPPEND_ITEM e 16 UINT\nAPPEND_ITEM s 32 STRING\n"},
    {yd_csv_read, "p.csv",
     "name,data_type,bit_length\na,uint,16\nb,int,24\nc,float,32\nd,uint,8\ne,uint,16\ns,str,32\n"},
    {yd_gsw_read, "p.yaml",
     "measurements:\n - {name: h, size: 6, unsigned: true}\n - {name: a, size: 2, unsigned: true}\n - {name: b, size: "
     "3, "
     "type: int}\n - {name: c, size: 4, type: float}\n - {name: d, size: 1, unsigned: true, scaling: 0.5}\n - {name: "
     "e, "
     "size: 2, unsigned: true}\n - {name: s, size: 4, type: string}\ntelemetry_packets:\n - {name: p, measurements: "
     "[h, "
     "a, b, c, d, e, s]}\n"},
};

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 20;
}

static void random_hex(uint64_t *seed, unsigned size, char *to)
{
    for (unsigned i = 0; i < size; i++) to += sprintf(to, "%02x", (unsigned)(next_random(seed) & 0x7f));
}

/* The value of a measurement whose name ends so. */
static void value_of(const char *lines, const char *name, char *to, size_t size)
{
    char wanted[16];
    (void)snprintf(wanted, sizeof wanted, ".%s=", name);
    const char *at = strstr(lines, wanted);
    assert_non_null(at);
    at += strlen(wanted);
    (void)snprintf(to, size, "%.*s", (int)strcspn(at, "\n"), at);
}

static void one_layout_in_five_formats_decodes_to_the_same_values(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d", "e", "s"};
    uint64_t seed = test_seed();
    struct converted converted[YD_COUNT(five)];
    for (size_t i = 0; i < YD_COUNT(five); i++) {
        convert(&converted[i], five[i].read, five[i].path, yd_str_of(five[i].text));
        if (converted[i].result < 0) print_message("%s: %s\n", five[i].path, converted[i].said.data);
        assert_int_equal(converted[i].result, 0);
    }
    for (int round = 0; round < 100; round++) {
        char hex[128], first[YD_COUNT(names)][64], value[64];
        random_hex(&seed, 22, hex);
        for (size_t i = 0; i < YD_COUNT(five); i++) {
            struct decoded decoded;
            decode_raw(&decoded, converted[i].ydm.data, hex, false);
            for (size_t j = 0; j < YD_COUNT(names); j++) {
                /* CSV has no scale: its raw value is twice what the others say. */
                value_of(decoded.lines.data, names[j], i ? value : first[j], 64);
                if (five[i].read == yd_csv_read && strcmp(names[j], "d") == 0)
                    (void)snprintf(value, sizeof value, "%g", strtod(value, NULL) * 0.5);
                if (i) assert_string_equal(value, first[j]);
            }
            decoded_fini(&decoded);
        }
    }
    for (size_t i = 0; i < YD_COUNT(five); i++) converted_fini(&converted[i]);
}

/* ---- written and read again ---- */

static const char everything[] =
    "definition d doc \"all of it\"\n"
    "container h\n  id u8\n  n u8 hidden\n  seq u14 sequence by id\n  _ u2\n"
    "packet a : h when id == 1 and (n > 3 or not seq == 2)\n  b i12\n  c bool4\n  e u16le scale 0.5 offset 1 unit "
    "\"m/s²\" doc \"say \\\"hi\\\"\"\n  f f32be\n  g u32 order(2, 1, 4, 3)\n  i u8 reversed\n  j u4 lsb0 at 14 bit 2\n"
    "  k i16 at 16\n    when id == 1: poly(0, 2)\n    when id == 2: spline(0 0, 10 5) extrapolate\n    otherwise: "
    "steps(0 1, 5 2)\n  l u8 { 0 \"a b\", 1..9 else2, else \"OTHER\" }\n    limits yellow is \"OTHER\" persist 2\n"
    "  m bias8\n  o bias8 bias 3\n  p u8 rational(1, 2 / 3)\n  q u8 table(1 5, 2 6)\n  r u8 calc(x * 2 + 1) if n > "
    "100\n"
    "  ...\n"
    "packet b : h when id == 2\n  g group[n, max 9]\n    k u8\n    t text(k, max 40)\n  w text(until 0, max 9)\n  x "
    "bytes(prefix u16le)\n  y u8[2][2]\n  z text(rest) charset latin1\n"
    "packet c : h when id in 3..5 doc \"times\"\n  t cuc(4, 2) stamp\n  u cds(2, 2)\n  v u32 ms since gps\n  s u32 "
    "since "
    "\"2001-02-03\"\n  g gray8\n  b bcd8\n  o ones8\n  m sign8\n  f mil32\n  e u16 at end - 2 valid -1..50000\n"
    "packet e : h when id == 6\n  a u12[*]\n"
    "derive x = rate(d.a.e)\n  unit \"m\"\n  limits red ..5\n"
    "limits d.a.b red ..5\n";

static void what_is_written_reads_as_the_same(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    struct converted once, twice;
    convert(&once, yd_ydm_read, "a.ydm", YD_STR(everything));
    if (once.result < 0) print_message("%s\n", once.said.data);
    assert_int_equal(once.result, 0);
    convert(&twice, yd_ydm_read, "a.ydm", yd_str_of(once.ydm.data));
    if (twice.result < 0) print_message("%s\n%s\n", once.ydm.data, twice.said.data);
    assert_int_equal(twice.result, 0);
    assert_string_equal(once.ydm.data, twice.ydm.data); /* nothing is lost on the second way */
    unsigned values = 0;
    for (int round = 0; round < 300; round++) {
        char hex[256];
        struct decoded a, b;
        unsigned size = 20 + (unsigned)(next_random(&seed) % 60);
        random_hex(&seed, size, hex);
        (void)snprintf(hex, 5, "%02x%02x", round % 7, (unsigned)(next_random(&seed) % 6));
        hex[4] = hex[4] ? hex[4] : '0';
        decode_raw(&a, everything, hex, false);
        decode_raw(&b, once.ydm.data, hex, false);
        assert_int_equal(a.result, b.result);
        assert_string_equal(a.lines.data, b.lines.data);
        assert_true(a.time_ns == b.time_ns);
        values += a.lines.size > 1;
        decoded_fini(&a);
        decoded_fini(&b);
    }
    assert_true(values > 50);
    converted_fini(&once);
    converted_fini(&twice);
}

static void what_is_not_supported_is_written_as_room(void **state)
{
    (void)state;
    expect_from(yd_xtce_read, "a.xml",
                "<SpaceSystem name='S' xmlns='http://www.omg.org/spec/XTCE/20180204'><TelemetryMetaData>"
                "<ParameterTypeSet><IntegerParameterType name='u'><IntegerDataEncoding sizeInBits='8'/>"
                "</IntegerParameterType><IntegerParameterType name='b'><IntegerDataEncoding sizeInBits='16' "
                "encoding='BCD'/></IntegerParameterType></ParameterTypeSet><ParameterSet><Parameter name='x' "
                "parameterTypeRef='b'/><Parameter name='y' parameterTypeRef='u'/></ParameterSet><ContainerSet>"
                "<SequenceContainer name='c'><EntryList><ParameterRefEntry parameterRef='x'/><ParameterRefEntry "
                "parameterRef='y'/></EntryList></SequenceContainer></ContainerSet></TelemetryMetaData></SpaceSystem>",
                "01 02 03", "S.y=3\n");
}

/* ---- damage ---- */

static void damaged_files_never_break_the_readers(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    static const struct {
        reader *read;
        const char *path, *text;
    } more[] = {
        {yd_cosmos_read, "p.txt",
         TELEMETRY "APPEND_ID_ITEM I 8 UINT 1\nITEM A 12 12 INT \"a\" LITTLE_ENDIAN\n STATE A 1 RED\n STATE B ANY\n"
                   "APPEND_ARRAY_ITEM B 8 UINT 32\nLIMITS DEFAULT 1 ENABLED 1 2 3 4\nAPPEND_ITEM C 8 "
                   "UINT\nSEG_POLY_READ_CONVERSION 1 2 3\nSEG_POLY_READ_CONVERSION 4 5 6\n"},
        {yd_csv_read, "p.csv",
         "name,data_type,bit_length,bit_offset\na,\"uint(2,3)\",16,48\nn,uint,8\nb,uint(n),24\nc,float,32\nd,fill,"
         "800\ns,str,32\ne,uint(expand),3\n"},
        {yd_gsw_read, "v.yaml", YAML "telemetry_packets:\n  - {name: p, port: 8000, measurements: [a, b, c, s]}\n"}};
    for (int round = 0; round < 1500; round++) {
        size_t which = (size_t)round % YD_COUNT(more);
        struct yd_buf text;
        yd_buf_init(&text, NULL);
        yd_buf_cstr(&text, more[which].text);
        for (int i = 0; i < 1 + round % 5 && text.size; i++) {
            static const char letters[] = "0123456789<>{}[]:,-\"' \n\t#&*ABx%.";
            size_t at = next_random(&seed) % text.size, length = next_random(&seed) % 30;
            length = YD_MIN(length, text.size - at);
            if (next_random(&seed) & 1) {
                memmove(text.data + at, text.data + at + length, text.size - at - length);
                text.size -= length;
            } else {
                text.data[at] = letters[next_random(&seed) % (sizeof letters - 1)];
            }
        }
        struct converted converted;
        convert(&converted, more[which].read, more[which].path, yd_buf_view(&text));
        if (converted.result == 0) { /* whatever it is now, it is written so that it can be read */
            struct converted again;
            convert(&again, yd_ydm_read, "a.ydm", yd_str_of(converted.ydm.data));
            if (again.result < 0)
                print_message("%.*s\n--\n%s\n%s\n", (int)text.size, text.data, converted.ydm.data, again.said.data);
            assert_int_equal(again.result, 0);
            converted_fini(&again);
        }
        converted_fini(&converted);
        yd_buf_fini(&text);
    }
}

static void memory_that_runs_out_is_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < YD_COUNT(five); i++) {
        int r = YD_ENOMEM;
        for (uint64_t n = 1; r == YD_ENOMEM; n++) {
            struct yd_alloc_failing failing;
            struct yd_diagnostics diagnostics;
            struct yd_def *def = NULL;
            yd_alloc_failing_init(&failing, n);
            yd_diagnostics_init(&diagnostics, NULL);
            r = five[i].read(five[i].path, yd_str_of(five[i].text), &failing.alloc, &diagnostics, &def);
            assert_true(r == 0 || r == YD_ENOMEM);
            yd_def_destroy(def);
            yd_diagnostics_fini(&diagnostics);
            assert_int_equal(failing.bytes_out, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cosmos_items_have_types_and_places),
        cmocka_unit_test(cosmos_little_endian_bitfields_begin_at_their_most_significant_bit),
        cmocka_unit_test(cosmos_states_conversions_and_limits),
        cmocka_unit_test(cosmos_programs_are_refused_or_named),
        cmocka_unit_test(csv_fields_follow_the_primary_header),
        cmocka_unit_test(csv_mistakes_have_their_place),
        cmocka_unit_test(gsw_measurements_of_odd_widths),
        cmocka_unit_test(gsw_mistakes_have_their_place),
        cmocka_unit_test(one_layout_in_five_formats_decodes_to_the_same_values),
        cmocka_unit_test(what_is_written_reads_as_the_same),
        cmocka_unit_test(what_is_not_supported_is_written_as_room),
        cmocka_unit_test(damaged_files_never_break_the_readers),
        cmocka_unit_test(memory_that_runs_out_is_told),
    };
    return cmocka_run_group_tests_name("decom_convert", tests, NULL, NULL);
}
