/* XTCE: what is read, what is named and refused, and that nothing in it breaks the reader. */
#include "testing.h"

static const char *definition_path = "test.xml";
#define DEFINITION_PATH definition_path
#include "decoded.h"
#include "decom/xtce.h"
#include "decom/ydm_write.h"

#define BEGIN "<SpaceSystem name='S' xmlns='http://www.omg.org/spec/XTCE/20180204'><TelemetryMetaData>"
#define END   "</TelemetryMetaData></SpaceSystem>"
#define U8    "<IntegerParameterType name='u8' signed='false'><IntegerDataEncoding sizeInBits='8'/></IntegerParameterType>"

/* One parameter `x` of this type in a packet of its own. */
static void one(char *to, size_t size, const char *type)
{
    (void)snprintf(to, size,
                   BEGIN "<ParameterTypeSet>" U8 "%s</ParameterTypeSet><ParameterSet>"
                         "<Parameter name='n' parameterTypeRef='u8'/><Parameter name='v' parameterTypeRef='T'/>"
                         "</ParameterSet><ContainerSet><SequenceContainer name='P'><EntryList>"
                         "<ParameterRefEntry parameterRef='n'/><ParameterRefEntry parameterRef='v'/>"
                         "</EntryList></SequenceContainer></ContainerSet>" END,
                   type);
}

static void expect_type(const char *type, const char *hex, const char *value)
{
    char xml[4096], lines[256];
    one(xml, sizeof xml, type);
    struct decoded decoded;
    decode_raw(&decoded, xml, hex, false);
    (void)snprintf(lines, sizeof lines, "S.v=%s\n", value);
    if (!strstr(decoded.lines.data, lines))
        print_message("%s\nof %s: wanted %s, got %s\n", decoded.errors.data, type, lines, decoded.lines.data);
    assert_non_null(strstr(decoded.lines.data, lines));
    decoded_fini(&decoded);
}

/* Read, but v is not decoded, with these words. */
static void expect_unsupported(const char *type, const char *words)
{
    char xml[4096];
    struct decoded decoded;
    one(xml, sizeof xml, type);
    decode_raw(&decoded, xml, "01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13 14", false);
    if (strstr(decoded.lines.data, "S.v") || !strstr(decoded.errors.data, words))
        print_message("%s: wanted '%s', said: %s\n%s\n", type, words, decoded.errors.data, decoded.lines.data);
    assert_null(strstr(decoded.lines.data, "S.v"));
    assert_non_null(strstr(decoded.lines.data, "S.n=1\n"));
    assert_non_null(strstr(decoded.errors.data, words));
    decoded_fini(&decoded);
}

#define INTEGER(encoding) "<IntegerParameterType name='T'><IntegerDataEncoding " encoding "/></IntegerParameterType>"
#define FLOAT(encoding)   "<FloatParameterType name='T'><FloatDataEncoding " encoding "/></FloatParameterType>"
#define CALIBRATED(calibrator)                                                                                         \
    "<FloatParameterType name='T'><IntegerDataEncoding sizeInBits='8'>" calibrator                                     \
    "</IntegerDataEncoding></FloatParameterType>"

static void numbers_have_their_encoding(void **state)
{
    (void)state;
    expect_type(INTEGER(""), "00 ff", "255");
    expect_type(INTEGER("sizeInBits='16' encoding='twosComplement'"), "00 ff fe", "-2");
    expect_type(INTEGER("sizeInBits='16' encoding='onesComplement'"), "00 ff fd", "-2");
    expect_type(INTEGER("sizeInBits='16' encoding='signMagnitude'"), "00 80 02", "-2");
    expect_type(INTEGER("sizeInBits='16' encoding='packedBCD'"), "00 12 34", "1234");
    expect_type(INTEGER("sizeInBits='12'"), "00 12 30", "291");
    expect_type(INTEGER("sizeInBits='16' byteOrder='leastSignificantByteFirst'"), "00 01 02", "513");
    expect_type(INTEGER("sizeInBits='8' bitOrder='leastSignificantBitFirst'"), "00 01", "128");
    /* The significance of each byte as it comes, 0 the least. */
    expect_type(INTEGER("sizeInBits='32' byteOrder='2,3,0,1'"), "00 22 11 44 33", "287454020");
    expect_type("<IntegerParameterType name='T'><IntegerDataEncoding sizeInBits='16'><ByteOrderList>"
                "<Byte byteSignificance='0'/><Byte byteSignificance='1'/></ByteOrderList></IntegerDataEncoding>"
                "</IntegerParameterType>",
                "00 01 02", "513");
    expect_type(FLOAT("sizeInBits='32'"), "00 3f c0 00 00", "1.5");
    expect_type(FLOAT("sizeInBits='16'"), "00 3e 00", "1.5");
    expect_type(FLOAT("sizeInBits='64' byteOrder='leastSignificantByteFirst'"), "00 00 00 00 00 00 00 f8 3f", "1.5");
    expect_type(FLOAT("sizeInBits='32' encoding='MILSTD_1750A'"), "00 60 00 00 01", "1.5");
}

static void labels_booleans_texts_bytes_and_times(void **state)
{
    (void)state;
    expect_type("<EnumeratedParameterType name='T'><IntegerDataEncoding sizeInBits='8'/><EnumerationList>"
                "<Enumeration value='0' label='OFF'/><Enumeration value='1' maxValue='9' label='ON'/>"
                "</EnumerationList></EnumeratedParameterType>",
                "00 05", "ON");
    expect_type("<BooleanParameterType name='T'><IntegerDataEncoding sizeInBits='1'/></BooleanParameterType>", "00 80",
                "true");
    expect_type("<StringParameterType name='T'><StringDataEncoding><SizeInBits><Fixed><FixedValue>32</FixedValue>"
                "</Fixed></SizeInBits></StringDataEncoding></StringParameterType>",
                "00 61 62 63 00", "abc");
    expect_type("<StringParameterType name='T'><StringDataEncoding><SizeInBits><TerminationChar>0A</TerminationChar>"
                "</SizeInBits></StringDataEncoding></StringParameterType>",
                "00 61 62 0a 07", "ab");
    expect_type("<StringParameterType name='T'><StringDataEncoding><Variable maxSizeInBits='800'><LeadingSize "
                "sizeInBitsOfSizeTag='8'/></Variable></StringDataEncoding></StringParameterType>",
                "00 02 61 62", "ab");
    expect_type("<BinaryParameterType name='T'><BinaryDataEncoding><SizeInBits><FixedValue>16</FixedValue></SizeInBits>"
                "</BinaryDataEncoding></BinaryParameterType>",
                "00 61 62", "6162");
    expect_type("<BinaryParameterType name='T'><BinaryDataEncoding><SizeInBits><DynamicValue><ParameterInstanceRef "
                "parameterRef='n'/><LinearAdjustment slope='8' intercept='8'/></DynamicValue></SizeInBits>"
                "</BinaryDataEncoding></BinaryParameterType>",
                "01 61 62 63", "6162");
    expect_type("<AbsoluteTimeParameterType name='T'><Encoding scale='0.001'><IntegerDataEncoding sizeInBits='32'/>"
                "</Encoding><ReferenceTime><Epoch>UNIX</Epoch></ReferenceTime></AbsoluteTimeParameterType>",
                "00 00 00 07 d0", "2000000000");
    expect_type("<RelativeTimeParameterType name='T'><Encoding scale='0.5'><IntegerDataEncoding sizeInBits='8'/>"
                "</Encoding></RelativeTimeParameterType>",
                "00 03", "1.5");
}

static void calibrators_compute(void **state)
{
    (void)state;
    expect_type(CALIBRATED("<DefaultCalibrator><PolynomialCalibrator><Term coefficient='1' exponent='0'/><Term "
                           "coefficient='0.5' exponent='1'/></PolynomialCalibrator></DefaultCalibrator>"),
                "00 04", "3");
    expect_type(CALIBRATED("<DefaultCalibrator><SplineCalibrator><SplinePoint raw='0' calibrated='0'/><SplinePoint "
                           "raw='10' calibrated='100'/></SplineCalibrator></DefaultCalibrator>"),
                "00 05", "50");
    expect_type(CALIBRATED("<DefaultCalibrator><SplineCalibrator order='0'><SplinePoint raw='0' calibrated='1'/>"
                           "<SplinePoint raw='10' calibrated='100'/></SplineCalibrator></DefaultCalibrator>"),
                "00 05", "1");
    expect_type(CALIBRATED("<DefaultCalibrator><MathOperationCalibrator><ThisParameterOperand/><ValueOperand>2"
                           "</ValueOperand><Operator>/</Operator><ValueOperand>1</ValueOperand><Operator>+</Operator>"
                           "</MathOperationCalibrator></DefaultCalibrator>"),
                "00 05", "3.5");
    const char *context = CALIBRATED(
        "<DefaultCalibrator><PolynomialCalibrator><Term coefficient='2' exponent='1'/></PolynomialCalibrator>"
        "</DefaultCalibrator><ContextCalibratorList><ContextCalibrator><ContextMatch><Comparison parameterRef='n' "
        "value='1'/></ContextMatch><Calibrator><PolynomialCalibrator><Term coefficient='3' exponent='1'/>"
        "</PolynomialCalibrator></Calibrator></ContextCalibrator></ContextCalibratorList>");
    expect_type(context, "00 05", "10");
    expect_type(context, "01 05", "15");
}

static void what_is_not_supported_is_named_and_not_decoded(void **state)
{
    (void)state;
    expect_unsupported(INTEGER("sizeInBits='16' encoding='BCD'"), "the encoding 'BCD'");
    expect_unsupported(INTEGER("sizeInBits='128'"), "128 bits are more than 64");
    expect_unsupported(INTEGER("sizeInBits='12' byteOrder='leastSignificantByteFirst'"), "no whole bytes");
    expect_unsupported(FLOAT("sizeInBits='32' encoding='IBM'"), "the encoding 'IBM'");
    expect_unsupported(FLOAT("sizeInBits='128'"), "128 bits are more than 64");
    expect_unsupported("<IntegerParameterType name='T'/>", "'T' has no encoding");
    expect_unsupported(CALIBRATED("<DefaultCalibrator><SplineCalibrator order='2'><SplinePoint raw='0' calibrated='0'/>"
                                  "</SplineCalibrator></DefaultCalibrator>"),
                       "a spline of order 2");
    expect_unsupported("<StringParameterType name='T'><StringDataEncoding encoding='UTF-32'><SizeInBits><Fixed>"
                       "<FixedValue>32</FixedValue></Fixed></SizeInBits></StringDataEncoding></StringParameterType>",
                       "the charset 'UTF-32'");
    expect_unsupported("<AbsoluteTimeParameterType name='T'><Encoding><IntegerDataEncoding sizeInBits='32'/></Encoding>"
                       "</AbsoluteTimeParameterType>",
                       "an absolute time whose epoch");
    expect_unsupported(
        "<BinaryParameterType name='T'><BinaryDataEncoding><SizeInBits><DiscreteLookupList/></SizeInBits>"
        "</BinaryDataEncoding></BinaryParameterType>",
        "a list without choices");
}

#define CHOICE(when, value)                                                                                            \
    "<DiscreteLookup value='" value "'><Comparison parameterRef='n' value='" when "'/></DiscreteLookup>"
#define BYTES(size)                                                                                                    \
    "<BinaryParameterType name='T'><BinaryDataEncoding><SizeInBits>" size "</SizeInBits></BinaryDataEncoding>"         \
    "</BinaryParameterType>"

static void sizes_and_counts_are_looked_up(void **state)
{
    (void)state;
    const char *bytes =
        BYTES("<DiscreteLookupList>" CHOICE("1", "16") CHOICE("2", "24") CHOICE("2", "8") "</DiscreteLookupList>");
    expect_type(bytes, "01 61 62 63", "6162");
    expect_type(bytes, "02 61 62 63", "616263"); /* the first one that holds */
    const char *list = BYTES("<DiscreteLookupList defaultValue='8'>" CHOICE("1", "16") "</DiscreteLookupList>");
    expect_type(list, "01 61 62 63", "6162");
    expect_type(list, "07 61 62 63", "61");
    expect_type(
        "<StringParameterType name='T'><StringDataEncoding><SizeInBits><Fixed><DiscreteLookupList>"
        "<DiscreteLookup value='16'><BooleanExpression><Condition><ParameterInstanceRef parameterRef='n'/>"
        "<ComparisonOperator>&gt;</ComparisonOperator><Value>4</Value></Condition></BooleanExpression>"
        "</DiscreteLookup></DiscreteLookupList></Fixed></SizeInBits></StringDataEncoding></StringParameterType>",
        "05 61 62 63", "ab");
    expect_unsupported(BYTES("<DiscreteLookupList>" CHOICE("1", "16") CHOICE("2", "7") "</DiscreteLookupList>"),
                       "not of whole bytes");
    expect_unsupported(BYTES("<DiscreteLookupList><DiscreteLookup value='8'><CustomAlgorithm/></DiscreteLookup>"
                             "</DiscreteLookupList>"),
                       "a condition that is not read");
    char xml[4096];
    one(xml, sizeof xml, bytes);
    expect_rejected(xml, "03 61 62 63", YD_DECOM_COUNT);
    expect_rejected(xml, "02 61 62", YD_DECOM_TRUNCATED);
    one(xml, sizeof xml,
        "<ArrayParameterType name='T' arrayTypeRef='u8'><DimensionList><Dimension><StartingIndex><FixedValue>0"
        "</FixedValue></StartingIndex><EndingIndex><DiscreteLookupList>" CHOICE("9", "0")
            CHOICE("1", "2") "</DiscreteLookupList></EndingIndex></Dimension></DimensionList></ArrayParameterType>");
    expect(xml, "01 0a 0b 0c", "S.n=1\nS.v.0=10\nS.v.1=11\nS.v.2=12\n");
    expect(xml, "09 0a", "S.n=9\nS.v.0=10\n");
    expect_rejected(xml, "02 0a 0b 0c", YD_DECOM_COUNT);
}

static void parameters_are_compared_with_each_other(void **state)
{
    (void)state;
#define TWO(first, operator, second)                                                                                   \
    BEGIN "<ParameterTypeSet>" U8 "<FloatParameterType name='half'><IntegerDataEncoding sizeInBits='8'>"               \
          "<DefaultCalibrator><PolynomialCalibrator><Term coefficient='0.5' exponent='1'/></PolynomialCalibrator>"     \
          "</DefaultCalibrator></IntegerDataEncoding></FloatParameterType></ParameterTypeSet><ParameterSet>"           \
          "<Parameter name='a' parameterTypeRef='u8'/><Parameter name='b' parameterTypeRef='half'/>"                   \
          "<Parameter name='v' parameterTypeRef='u8'/></ParameterSet><ContainerSet>"                                   \
          "<SequenceContainer name='H' abstract='true'><EntryList><ParameterRefEntry parameterRef='a'/>"               \
          "<ParameterRefEntry parameterRef='b'/></EntryList></SequenceContainer><SequenceContainer name='P'>"          \
          "<EntryList><ParameterRefEntry parameterRef='v'/></EntryList><BaseContainer containerRef='H'>"               \
          "<RestrictionCriteria><BooleanExpression><Condition>" first "<ComparisonOperator>"                           \
          operator"</ComparisonOperator>" second                                                                       \
                  "</Condition></BooleanExpression></RestrictionCriteria></BaseContainer>"                             \
                  "</SequenceContainer></ContainerSet>" END
#define A     "<ParameterInstanceRef parameterRef='a'/>"
#define B     "<ParameterInstanceRef parameterRef='b'/>"
#define B_RAW "<ParameterInstanceRef parameterRef='b' useCalibratedValue='false'/>"
    expect(TWO(A, "==", B), "02 04 07", "S.a=2\nS.b=2\nS.v=7\n");
    expect_rejected(TWO(A, "==", B), "04 04 07", YD_DECOM_UNKNOWN);
    expect(TWO(A, "==", B_RAW), "04 04 07", "S.a=4\nS.b=2\nS.v=7\n");
    expect_rejected(TWO(A, "==", B_RAW), "02 04 07", YD_DECOM_UNKNOWN);
    expect(TWO(B, "&lt;", A), "03 04 07", "S.a=3\nS.b=2\nS.v=7\n");
    expect_rejected(TWO(B, "&lt;", A), "02 04 07", YD_DECOM_UNKNOWN);
    expect_rejected(TWO(B, "&lt;", A), "02", YD_DECOM_TRUNCATED);
    struct decoded decoded;
    decode_raw(&decoded, TWO(A, "==", B "<Value>2</Value>"), "02 04 07", false);
    assert_non_null(strstr(decoded.errors.data, "a comparison that is not read"));
    assert_string_equal(decoded.lines.data, "");
    decoded_fini(&decoded);
}

/* The schemas differ in what a valid range is of when they do not say: 1.2 of calibrated values, before of raw ones. */
static void valid_ranges_are_of_raw_or_calibrated_values(void **state)
{
    (void)state;
#define VALID(attribute)                                                                                               \
    "<FloatParameterType name='T'><ValidRange minInclusive='0' maxInclusive='9' " attribute "/>"                       \
    "<IntegerDataEncoding sizeInBits='8'><DefaultCalibrator><PolynomialCalibrator><Term coefficient='2' "              \
    "exponent='1'/>"                                                                                                   \
    "</PolynomialCalibrator></DefaultCalibrator></IntegerDataEncoding></FloatParameterType>"
    expect_type(VALID(""), "00 06", "12?");
    expect_type(VALID("validRangeAppliesToCalibrated='true'"), "00 06", "12?");
    expect_type(VALID("validRangeAppliesToCalibrated='false'"), "00 06", "12");
    expect_type(VALID("validRangeAppliesToCalibrated='false'"), "00 0a", "20?");
    char xml[4096];
    one(xml, sizeof xml, VALID(""));
    char older[4096];
    const char *before = "http://www.omg.org/spec/XTCE/20180204", *at = strstr(xml, before);
    (void)snprintf(older, sizeof older, "%.*shttp://www.omg.org/space/xtce%s", (int)(at - xml), xml,
                   at + strlen(before));
    expect(older, "00 06", "S.n=0\nS.v=12\n");
    expect(older, "00 0a", "S.n=0\nS.v=20?\n");
}

/* The limits of v, as they are written in .ydm, and what is said of them. */
static void expect_limits(const char *alarm, const char *limits, const char *words)
{
    char xml[4096], type[2048];
    struct yd_diagnostics diagnostics;
    struct yd_def *def;
    struct yd_buf ydm;
    (void)snprintf(type, sizeof type,
                   "<FloatParameterType name='T'><IntegerDataEncoding sizeInBits='8'/>%s</FloatParameterType>", alarm);
    one(xml, sizeof xml, type);
    yd_diagnostics_init(&diagnostics, NULL);
    yd_buf_init(&ydm, NULL);
    assert_int_equal(yd_xtce_read("test.xml", yd_str_of(xml), NULL, &diagnostics, &def), 0);
    const struct yd_def_limits *made = def->containers->entries.first->next->limits;
    yd_ydm_write(def, &ydm);
    yd_buf_char(&ydm, 0);
    if (*limits && !strstr(ydm.data, limits)) print_message("wanted %s in\n%s\n", limits, ydm.data);
    if (*limits)
        assert_non_null(strstr(ydm.data, limits));
    else
        assert_null(strstr(ydm.data, "limits yellow"));
    if (*words) {
        while (made && !made->unsupported) made = made->next;
        assert_non_null(made);
        assert_non_null(strstr(made->unsupported, words));
        assert_true(made->place.line > 0 && made->place.column > 0);
    }
    yd_buf_fini(&ydm);
    yd_def_destroy(def);
    yd_diagnostics_fini(&diagnostics);
}

static void alarms_become_limits_or_are_named(void **state)
{
    (void)state;
#define RANGES "<WarningRange minInclusive='-5' maxInclusive='5'/><SevereRange minInclusive='-9' maxInclusive='9'/>"
    expect_limits("<DefaultAlarm minViolations='3'><StaticAlarmRanges>" RANGES "</StaticAlarmRanges></DefaultAlarm>",
                  "yellow -5..5 red -9..9 persist 3", "");
    expect_limits("<DefaultAlarm><StaticAlarmRanges rangeForm='outside'>" RANGES "</StaticAlarmRanges></DefaultAlarm>",
                  "yellow -5..5 red -9..9", "");
    expect_limits("<DefaultAlarm><StaticAlarmRanges rangeForm='inside'>" RANGES "</StaticAlarmRanges></DefaultAlarm>",
                  "", "ranges around what is bad");
    expect_limits("<DefaultAlarm><StaticAlarmRanges alarmForm='outside'>" RANGES "</StaticAlarmRanges></DefaultAlarm>",
                  "", "ranges around what is bad");
    expect_limits("<DefaultAlarm><ChangeAlarmRanges>" RANGES "</ChangeAlarmRanges></DefaultAlarm>",
                  "yellow rate -5..5 red rate -9..9", "");
    expect_limits("<DefaultAlarm><ChangeAlarmRanges changeType='changePerSample'>" RANGES
                  "</ChangeAlarmRanges></DefaultAlarm>",
                  "yellow delta -5..5 red delta -9..9", "");
    expect_limits("<DefaultAlarm><ChangeAlarmRanges changeType='changePerSample' spanOfInterestInSamples='4'>" RANGES
                  "</ChangeAlarmRanges></DefaultAlarm>",
                  "", "changes over a longer span");
    expect_limits("<DefaultAlarm><ChangeAlarmRanges changeBasis='percentageChange'>" RANGES
                  "</ChangeAlarmRanges></DefaultAlarm>",
                  "", "changes that are not absolute");
    expect_limits("<DefaultAlarm minConformance='2'><StaticAlarmRanges>" RANGES "</StaticAlarmRanges></DefaultAlarm>",
                  "", "several good values");
    expect_limits("<DefaultAlarm><StaticAlarmRanges>" RANGES "</StaticAlarmRanges></DefaultAlarm><ContextAlarmList>"
                  "<ContextAlarm/></ContextAlarmList>",
                  "yellow -5..5 red -9..9", "alarms in contexts");
}

#define PACKETS                                                                                                        \
    "<?xml version='1.0'?>\n"                                                                                          \
    "<xtce:SpaceSystem name='Sat' xmlns:xtce='http://www.omg.org/space/xtce'>\n"                                       \
    "<xtce:TelemetryMetaData><xtce:ParameterTypeSet>\n"                                                                \
    "<xtce:IntegerParameterType name='u8'><xtce:IntegerDataEncoding sizeInBits='8'/></xtce:IntegerParameterType>\n"    \
    "</xtce:ParameterTypeSet><xtce:ParameterSet>\n"                                                                    \
    "<xtce:Parameter name='id' parameterTypeRef='u8'/><xtce:Parameter name='len' parameterTypeRef='/Sat/u8'/>\n"       \
    "</xtce:ParameterSet><xtce:ContainerSet>\n"                                                                        \
    "<xtce:SequenceContainer name='Header' abstract='true'><xtce:DefaultRateInStream minimumValue='1'/>"               \
    "<xtce:EntryList><xtce:ParameterRefEntry parameterRef='id'/>"                                                      \
    "<xtce:ParameterRefEntry parameterRef='len'/></xtce:EntryList></xtce:SequenceContainer>\n"                         \
    "</xtce:ContainerSet></xtce:TelemetryMetaData>\n"                                                                  \
    "<xtce:SpaceSystem name='Power'><xtce:TelemetryMetaData>\n"                                                        \
    "<xtce:ParameterTypeSet><xtce:AggregateParameterType name='cell'><xtce:MemberList>"                                \
    "<xtce:Member name='v' typeRef='u8'/><xtce:Member name='t' typeRef='u8'/></xtce:MemberList>"                       \
    "</xtce:AggregateParameterType>"                                                                                   \
    "<xtce:ArrayParameterType name='cells' arrayTypeRef='cell'><xtce:DimensionList><xtce:Dimension>"                   \
    "<xtce:StartingIndex><xtce:FixedValue>0</xtce:FixedValue></xtce:StartingIndex><xtce:EndingIndex>"                  \
    "<xtce:DynamicValue><xtce:ParameterInstanceRef parameterRef='/Sat/len'/><xtce:LinearAdjustment intercept='-1'/>"   \
    "</xtce:DynamicValue></xtce:EndingIndex></xtce:Dimension></xtce:DimensionList></xtce:ArrayParameterType>"          \
    "</xtce:ParameterTypeSet>\n"                                                                                       \
    "<xtce:ParameterSet><xtce:Parameter name='Bus-Volts' parameterTypeRef='u8'/>"                                      \
    "<xtce:Parameter name='Cells' parameterTypeRef='cells'/><xtce:Parameter name='Extra' parameterTypeRef='../u8'/>"   \
    "<xtce:Parameter name='Crc' parameterTypeRef='u8'/></xtce:ParameterSet>\n"                                         \
    "<xtce:ContainerSet><xtce:SequenceContainer name='Tail'><xtce:EntryList><xtce:ParameterRefEntry "                  \
    "parameterRef='Crc'/></xtce:EntryList></xtce:SequenceContainer>"                                                   \
    "<xtce:SequenceContainer name='Volts'><xtce:EntryList>"                                                            \
    "<xtce:ParameterRefEntry parameterRef='Bus-Volts'><xtce:LocationInContainerInBits><xtce:FixedValue>8"              \
    "</xtce:FixedValue></xtce:LocationInContainerInBits></xtce:ParameterRefEntry>"                                     \
    "<xtce:ParameterRefEntry parameterRef='Extra'><xtce:IncludeCondition><xtce:Comparison parameterRef='len' "         \
    "comparisonOperator='&gt;' value='3'/></xtce:IncludeCondition></xtce:ParameterRefEntry>"                           \
    "<xtce:ContainerRefEntry containerRef='Tail'/></xtce:EntryList>"                                                   \
    "<xtce:BaseContainer containerRef='/Sat/Header'><xtce:RestrictionCriteria><xtce:Comparison parameterRef='id' "     \
    "value='1'/></xtce:RestrictionCriteria></xtce:BaseContainer></xtce:SequenceContainer>\n"                           \
    "<xtce:SequenceContainer name='Cells'><xtce:EntryList><xtce:ParameterRefEntry parameterRef='Cells'/>"              \
    "</xtce:EntryList><xtce:BaseContainer containerRef='Header'><xtce:RestrictionCriteria><xtce:BooleanExpression>"    \
    "<xtce:ORedConditions><xtce:Condition><xtce:ParameterInstanceRef parameterRef='id'/><xtce:ComparisonOperator>=="   \
    "</xtce:ComparisonOperator><xtce:Value>2</xtce:Value></xtce:Condition><xtce:Condition><xtce:ParameterInstanceRef " \
    "parameterRef='id'/><xtce:ComparisonOperator>==</xtce:ComparisonOperator><xtce:Value>3</xtce:Value>"               \
    "</xtce:Condition></xtce:ORedConditions></xtce:BooleanExpression></xtce:RestrictionCriteria></xtce:BaseContainer>" \
    "</xtce:SequenceContainer></xtce:ContainerSet></xtce:TelemetryMetaData></xtce:SpaceSystem>\n</xtce:SpaceSystem>\n"

/* Whatever is told by conditions: sizes, dimensions, repetitions, of values and of each other; and alarms. */
#define LOOKED_UP                                                                                                      \
    "<SpaceSystem name='S' xmlns='http://www.omg.org/spec/XTCE/20180204'><TelemetryMetaData>"                          \
    "<ParameterTypeSet><IntegerParameterType name='u8' signed='false'><IntegerDataEncoding sizeInBits='8'/>"           \
    "</IntegerParameterType><FloatParameterType name='half'>"                                                          \
    "<ValidRange minInclusive='0' maxInclusive='9' validRangeAppliesToCalibrated='false'/>"                            \
    "<IntegerDataEncoding sizeInBits='8' encoding='twosComplement'><DefaultCalibrator><PolynomialCalibrator>"          \
    "<Term coefficient='0.5' exponent='1'/></PolynomialCalibrator></DefaultCalibrator></IntegerDataEncoding>"          \
    "<DefaultAlarm><StaticAlarmRanges rangeForm='outside'><WarningRange minInclusive='-5' maxInclusive='5'/>"          \
    "</StaticAlarmRanges><ChangeAlarmRanges changeType='changePerSample'>"                                             \
    "<SevereRange minInclusive='-9' maxExclusive='9'/></ChangeAlarmRanges></DefaultAlarm>"                             \
    "</FloatParameterType><EnumeratedParameterType name='E'><IntegerDataEncoding sizeInBits='4'/>"                     \
    "<EnumerationList><Enumeration value='0' label='OFF'/><Enumeration value='1' maxValue='9' label='ON'/>"            \
    "</EnumerationList></EnumeratedParameterType><BinaryParameterType name='T'><BinaryDataEncoding>"                   \
    "<SizeInBits><DiscreteLookupList defaultValue='8'><DiscreteLookup value='16'>"                                     \
    "<Comparison parameterRef='n' value='1'/></DiscreteLookup><DiscreteLookup value='24'><BooleanExpression>"          \
    "<ORedConditions><Condition><ParameterInstanceRef parameterRef='n'/><ComparisonOperator>&gt;"                      \
    "</ComparisonOperator><ParameterInstanceRef parameterRef='b' useCalibratedValue='false'/></Condition>"             \
    "<Condition><ParameterInstanceRef parameterRef='e'/><ComparisonOperator>==</ComparisonOperator><Value>ON"          \
    "</Value></Condition></ORedConditions></BooleanExpression></DiscreteLookup></DiscreteLookupList>"                  \
    "</SizeInBits></BinaryDataEncoding></BinaryParameterType>"                                                         \
    "<ArrayParameterType name='A' arrayTypeRef='half'><DimensionList><Dimension><StartingIndex><FixedValue>0"          \
    "</FixedValue></StartingIndex><EndingIndex><DiscreteLookupList><DiscreteLookup value='2'>"                         \
    "<Comparison parameterRef='n' comparisonOperator='&lt;' value='9'/></DiscreteLookup></DiscreteLookupList>"         \
    "</EndingIndex></Dimension></DimensionList></ArrayParameterType></ParameterTypeSet><ParameterSet>"                 \
    "<Parameter name='n' parameterTypeRef='u8'/><Parameter name='b' parameterTypeRef='half'/>"                         \
    "<Parameter name='e' parameterTypeRef='E'/><Parameter name='e2' parameterTypeRef='E'/>"                            \
    "<Parameter name='v' parameterTypeRef='T'/><Parameter name='w' parameterTypeRef='A'/>"                             \
    "<Parameter name='z' parameterTypeRef='E'/></ParameterSet><ContainerSet>"                                          \
    "<SequenceContainer name='H' abstract='true'><EntryList><ParameterRefEntry parameterRef='n'/>"                     \
    "<ParameterRefEntry parameterRef='b'/><ParameterRefEntry parameterRef='e'/>"                                       \
    "<ParameterRefEntry parameterRef='e2'/></EntryList></SequenceContainer><SequenceContainer name='P'>"               \
    "<EntryList><ParameterRefEntry parameterRef='v'/><ParameterRefEntry parameterRef='w'/>"                            \
    "<ParameterRefEntry parameterRef='z'><RepeatEntry><Count><DiscreteLookupList defaultValue='2'>"                    \
    "<DiscreteLookup value='1'><Comparison parameterRef='e' value='ON'/></DiscreteLookup>"                             \
    "</DiscreteLookupList></Count></RepeatEntry></ParameterRefEntry></EntryList>"                                      \
    "<BaseContainer containerRef='H'><RestrictionCriteria><BooleanExpression><Condition>"                              \
    "<ParameterInstanceRef parameterRef='n'/><ComparisonOperator>&gt;=</ComparisonOperator>"                           \
    "<ParameterInstanceRef parameterRef='b'/></Condition></BooleanExpression></RestrictionCriteria>"                   \
    "</BaseContainer></SequenceContainer></ContainerSet></TelemetryMetaData></SpaceSystem>"

static void containers_continue_include_and_repeat(void **state)
{
    (void)state;
    expect(PACKETS, "01 00 ff 0c 99", "Sat.id=1\nSat.len=0\nSat.Power.Bus_Volts=12\nSat.Power.Crc=153\n");
    expect(PACKETS, "01 04 ff 0c 07 99",
           "Sat.id=1\nSat.len=4\nSat.Power.Bus_Volts=12\nSat.Power.Extra=7\nSat.Power.Crc=153\n");
    expect(PACKETS, "03 02 0a 0b 0c 0d",
           "Sat.id=3\nSat.len=2\nSat.Power.Cells.0.v=10\nSat.Power.Cells.0.t=11\nSat.Power.Cells.1.v=12\n"
           "Sat.Power.Cells.1.t=13\n");
    expect(LOOKED_UP, "01 02 05 aa bb 06 04 02 50",
           "S.n=1\nS.b=1\nS.e=OFF\nS.e2=ON\nS.v=aabb\nS.w.0=3\nS.w.1=2\nS.w.2=1\nS.z.0=ON\nS.z.1=OFF\n");
    expect_rejected(LOOKED_UP, "01 04 05 aa bb 06 04 02 50", YD_DECOM_UNKNOWN);
    expect_rejected(PACKETS, "04 02 0a", YD_DECOM_UNKNOWN);
    expect_rejected(PACKETS, "03 02 0a", YD_DECOM_TRUNCATED);
}

static void mistakes_are_told_with_their_place(void **state)
{
    (void)state;
    expect_refused("<SpaceSystem name='S'>\n  <TelemetryMetaData>\n <ParameterSet></x>",
                   "test.xml:3:", "this is no XML");
    expect_refused("<a/>", "D020", "begins with <SpaceSystem>");
    expect_refused("", "D020", "this is no XML");
    expect_refused("<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]>\n<SpaceSystem name='S'/>", "D020",
                   "a document type is not read");
    expect_refused(BEGIN "<ParameterSet>\n<Parameter name='a' parameterTypeRef='nix'/></ParameterSet>" END,
                   "test.xml:2:1", "the type 'nix', which is not there");
    expect_refused(BEGIN "<ParameterTypeSet>" U8 "\n" U8 "</ParameterTypeSet>" END, "test.xml:2:1", "already");
    expect_refused(BEGIN "<ContainerSet><SequenceContainer name='a'><EntryList><ParameterRefEntry parameterRef='b'/>"
                         "</EntryList></SequenceContainer></ContainerSet>" END,
                   "D033", "there is no parameter 'b'");
    expect_refused(BEGIN "<ContainerSet><SequenceContainer name='a'><EntryList/><BaseContainer containerRef='a'/>"
                         "</SequenceContainer></ContainerSet>" END,
                   "D034", "itself");
    expect_refused(BEGIN "<ParameterTypeSet><AggregateParameterType name='a'><MemberList><Member name='b' typeRef='a'/>"
                         "</MemberList></AggregateParameterType></ParameterTypeSet>" END,
                   "D034", "itself");
}

static void elements_in_each_other_have_an_end(void **state)
{
    (void)state;
    struct yd_buf xml;
    yd_buf_init(&xml, NULL);
    for (int i = 0; i < 100000; i++) yd_buf_cstr(&xml, "<a>");
    yd_buf_char(&xml, 0);
    expect_refused(xml.data, "D002", "elements in each other");
    yd_buf_fini(&xml);
}

/* A size of two bytes, written in many ways; what is in front of it is longer than any piece that the parser gets. */
static void texts_are_read_however_they_are_written(void **state)
{
    (void)state;
    static const char *const sizes[] = {
        "<FixedValue>16</FixedValue>",
        "<FixedValue>\n  16\t</FixedValue>",
        "<FixedValue>1<!-- six -->6</FixedValue>",
        "<FixedValue><!-- two bytes -->16</FixedValue>",
        "<FixedValue><![CDATA[16]]></FixedValue>",
        "<FixedValue>&#49;&#x36;</FixedValue>",
        "<FixedValue ><?what ever?> 16 </FixedValue >",
        "<!-- <FixedValue>8</FixedValue> --> <FixedValue>16</FixedValue>",
    };
    struct yd_buf type, xml;
    yd_buf_init(&type, NULL);
    yd_buf_init(&xml, NULL);
    for (size_t i = 0; i < YD_COUNT(sizes); i++) {
        yd_buf_clear(&type);
        yd_buf_printf(&type,
                      "<BinaryParameterType name='T'><LongDescription>text &amp; more</LongDescription>"
                      "<BinaryDataEncoding><SizeInBits>%s</SizeInBits></BinaryDataEncoding></BinaryParameterType>",
                      sizes[i]);
        yd_buf_char(&type, 0);
        expect_type(type.data, "00 61 62", "6162");
    }
    yd_buf_cstr(&xml, "<SpaceSystem name='S' shortDescription='");
    for (int i = 0; i < 300000; i++) yd_buf_cstr(&xml, i % 1000 ? "a" : "&lt;");
    yd_buf_cstr(&xml, "' xmlns='http://www.omg.org/spec/XTCE/20180204'><TelemetryMetaData>");
    yd_buf_cstr(&xml, "<ParameterTypeSet>" U8 "</ParameterTypeSet><ParameterSet>\n<Parameter name='n' "
                      "parameterTypeRef='u9'/></ParameterSet>" END);
    yd_buf_char(&xml, 0);
    expect_refused(xml.data, "test.xml:2:1", "the type 'u9'");
    yd_buf_fini(&type);
    yd_buf_fini(&xml);
}

static void other_encodings_of_text_are_read(void **state)
{
    (void)state;
    char narrow[4096], wide[8192];
    one(narrow, sizeof narrow,
        "<BinaryParameterType name='T'><BinaryDataEncoding><SizeInBits><FixedValue>16</FixedValue></SizeInBits>"
        "</BinaryDataEncoding></BinaryParameterType>");
    size_t size = strlen(narrow);
    for (unsigned big = 0; big < 2; big++) {
        memcpy(wide, big ? "\xfe\xff" : "\xff\xfe", 2);
        for (size_t i = 0; i < size; i++) {
            wide[2 + 2 * i] = big ? 0 : narrow[i];
            wide[3 + 2 * i] = big ? narrow[i] : 0;
        }
        struct yd_diagnostics diagnostics;
        struct yd_plan *plan = NULL;
        yd_diagnostics_init(&diagnostics, NULL);
        int r = yd_plan_read("test.xml", (struct yd_str){wide, 2 + 2 * size}, NULL, &diagnostics, &plan);
        assert_int_equal(r, 0);
        assert_int_equal(yd_plan_measurement_count(plan, 0), 2);
        yd_plan_destroy(plan);
        yd_diagnostics_fini(&diagnostics);
    }
}

/* Letters changed, taken out and doubled: whatever it is then, it is read or refused. */
static void a_damaged_file_never_breaks_the_reader(void **state)
{
    (void)state;
    uint64_t seed = test_seed();
    static const char *const texts[] = {PACKETS, LOOKED_UP};
    for (int round = 0; round < 3000; round++) {
        const char *whole = texts[round % 2];
        size_t size = strlen(whole);
        struct yd_buf xml;
        yd_buf_init(&xml, NULL);
        yd_buf_add(&xml, whole, size);
        for (int i = 0; i < 1 + round % 4; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            size_t at = (seed >> 20) % xml.size, length = (seed >> 52) % 40;
            length = YD_MIN(length, xml.size - at);
            if (seed >> 63) {
                memmove(xml.data + at, xml.data + at + length, xml.size - at - length);
                xml.size -= length;
            } else {
                static const char letters[] = "0123456789<>/='\"abz.-";
                xml.data[at] = letters[(seed >> 33) % (sizeof letters - 1)];
            }
            if (!xml.size) break;
        }
        struct yd_diagnostics diagnostics;
        struct yd_plan *plan = NULL;
        yd_diagnostics_init(&diagnostics, NULL);
        int r = yd_plan_read("test.xml", yd_buf_view(&xml), NULL, &diagnostics, &plan);
        assert_true((r < 0) == (diagnostics.errors > 0));
        yd_plan_destroy(plan);
        yd_diagnostics_fini(&diagnostics);
        yd_buf_fini(&xml);
    }
}

static void run_out_of_memory(struct yd_str text)
{
    int r = YD_ENOMEM;
    for (uint64_t n = 1; r == YD_ENOMEM; n++) {
        struct yd_alloc_failing failing;
        struct yd_diagnostics diagnostics;
        struct yd_plan *plan = NULL;
        yd_alloc_failing_init(&failing, n);
        yd_diagnostics_init(&diagnostics, NULL);
        struct yd_plan_options options = {.alloc = &failing.alloc};
        r = yd_plan_read("test.xml", text, &options, &diagnostics, &plan);
        assert_true(r == 0 || r == YD_ENOMEM);
        yd_plan_destroy(plan);
        yd_diagnostics_fini(&diagnostics);
        assert_int_equal(failing.bytes_out, 0);
    }
}

static void memory_that_runs_out_is_told(void **state)
{
    (void)state;
    run_out_of_memory(YD_STR(PACKETS));
    run_out_of_memory(YD_STR(LOOKED_UP));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_have_their_encoding),
        cmocka_unit_test(labels_booleans_texts_bytes_and_times),
        cmocka_unit_test(calibrators_compute),
        cmocka_unit_test(what_is_not_supported_is_named_and_not_decoded),
        cmocka_unit_test(sizes_and_counts_are_looked_up),
        cmocka_unit_test(parameters_are_compared_with_each_other),
        cmocka_unit_test(valid_ranges_are_of_raw_or_calibrated_values),
        cmocka_unit_test(alarms_become_limits_or_are_named),
        cmocka_unit_test(containers_continue_include_and_repeat),
        cmocka_unit_test(mistakes_are_told_with_their_place),
        cmocka_unit_test(elements_in_each_other_have_an_end),
        cmocka_unit_test(texts_are_read_however_they_are_written),
        cmocka_unit_test(other_encodings_of_text_are_read),
        cmocka_unit_test(a_damaged_file_never_breaks_the_reader),
        cmocka_unit_test(memory_that_runs_out_is_told),
    };
    return cmocka_run_group_tests_name("decom_xtce", tests, NULL, NULL);
}
