/* bench-xtce: how long a definition of 10,000 parameters in XTCE takes to be ready, and the same text through parsers
 * that make nothing of it.
 *
 *   what is measured   text ─▶ elements ─▶ model ─▶ checked and compiled plan
 *   beside it          the same text through expat without handlers, and (when it is there) libxml2's tree
 *
 * The best of several rounds, in processor time; and the very first, whose memory is new to the process, as it is for
 * `yarder decom check`. Rounds of ours and of expat alternate. */
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifdef HAVE_LIBXML2
#include <libxml/parser.h>
#endif

#include "decom/plan.h"

#define PARAMETERS 10000
#define EACH       50 /* in a packet */
#define ROUNDS     15

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

/* 200 packets of 50 parameters behind a header; each parameter has a type of its own, a third of them calibrated, a
 * ninth with labels, a fifth with alarms. */
static void generate(struct yd_buf *to)
{
    yd_buf_cstr(to, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<SpaceSystem name=\"Sat\" "
                    "xmlns=\"http://www.omg.org/spec/XTCE/20180204\">\n <TelemetryMetaData>\n  <ParameterTypeSet>\n"
                    "   <IntegerParameterType name=\"apid_t\" signed=\"false\"><IntegerDataEncoding "
                    "sizeInBits=\"16\"/></IntegerParameterType>\n");
    for (int i = 0; i < PARAMETERS; i++) {
        if (i % 9 == 0) {
            yd_buf_printf(to,
                          "   <EnumeratedParameterType name=\"t%d\">\n    <IntegerDataEncoding sizeInBits=\"8\"/>\n"
                          "    <EnumerationList>\n     <Enumeration value=\"0\" label=\"OFF\"/>\n     <Enumeration "
                          "value=\"1\" label=\"ON\"/>\n    </EnumerationList>\n   </EnumeratedParameterType>\n",
                          i);
            continue;
        }
        yd_buf_printf(to,
                      "   <FloatParameterType name=\"t%d\" shortDescription=\"parameter %d\">\n    <UnitSet>\n     "
                      "<Unit>V</Unit>\n    </UnitSet>\n    <IntegerDataEncoding sizeInBits=\"16\" "
                      "encoding=\"twosComplement\">\n",
                      i, i);
        if (i % 3 == 0)
            yd_buf_cstr(to, "     <DefaultCalibrator>\n      <PolynomialCalibrator>\n       <Term coefficient=\"-1.5\" "
                            "exponent=\"0\"/>\n       <Term coefficient=\"0.25\" exponent=\"1\"/>\n      "
                            "</PolynomialCalibrator>\n     </DefaultCalibrator>\n");
        yd_buf_cstr(to, "    </IntegerDataEncoding>\n");
        if (i % 5 == 0)
            yd_buf_cstr(to, "    <DefaultAlarm>\n     <StaticAlarmRanges>\n      <WarningRange minInclusive=\"-10\" "
                            "maxInclusive=\"10\"/>\n      <CriticalRange minInclusive=\"-20\" maxInclusive=\"20\"/>\n  "
                            "   </StaticAlarmRanges>\n    </DefaultAlarm>\n");
        yd_buf_cstr(to, "   </FloatParameterType>\n");
    }
    yd_buf_cstr(to,
                "  </ParameterTypeSet>\n  <ParameterSet>\n   <Parameter name=\"apid\" parameterTypeRef=\"apid_t\"/>\n");
    for (int i = 0; i < PARAMETERS; i++)
        yd_buf_printf(to, "   <Parameter name=\"parameter_%d\" parameterTypeRef=\"t%d\"/>\n", i, i);
    yd_buf_cstr(to,
                "  </ParameterSet>\n  <ContainerSet>\n   <SequenceContainer name=\"Header\" abstract=\"true\">\n    "
                "<EntryList>\n     <ParameterRefEntry parameterRef=\"apid\"/>\n    </EntryList>\n   "
                "</SequenceContainer>\n");
    for (int p = 0; p < PARAMETERS / EACH; p++) {
        yd_buf_printf(to, "   <SequenceContainer name=\"packet_%d\">\n    <EntryList>\n", p);
        for (int i = 0; i < EACH; i++)
            yd_buf_printf(to, "     <ParameterRefEntry parameterRef=\"parameter_%d\"/>\n", p * EACH + i);
        yd_buf_printf(
            to,
            "    </EntryList>\n    <BaseContainer containerRef=\"Header\">\n     <RestrictionCriteria>\n      "
            "<Comparison parameterRef=\"apid\" value=\"%d\"/>\n     </RestrictionCriteria>\n    "
            "</BaseContainer>\n   </SequenceContainer>\n",
            p);
    }
    yd_buf_cstr(to, "  </ContainerSet>\n </TelemetryMetaData>\n</SpaceSystem>\n");
}

static double load(struct yd_str text, uint32_t *ret_measurements)
{
    struct yd_diagnostics diagnostics;
    struct yd_plan *plan = NULL;
    yd_diagnostics_init(&diagnostics, NULL);
    double begin = now();
    int r = yd_plan_read("bench.xml", text, NULL, &diagnostics, &plan);
    double took = now() - begin;
    *ret_measurements = 0;
    for (uint32_t i = 0; r == 0 && i < yd_plan_packet_count(plan); i++)
        *ret_measurements += yd_plan_measurement_count(plan, i) - 1; /* without the number of the packet */
    if (r < 0 && diagnostics.count) fprintf(stderr, "%s\n", diagnostics.items[0].message);
    yd_plan_destroy(plan);
    yd_diagnostics_fini(&diagnostics);
    return r < 0 ? -1 : took;
}

static double bare_expat(struct yd_str text)
{
    XML_Parser parser = XML_ParserCreate(NULL);
    double begin = now();
    if (!parser || XML_Parse(parser, text.data, (int)text.size, 1) != XML_STATUS_OK) return -1;
    double took = now() - begin;
    XML_ParserFree(parser);
    return took;
}

static double bare_libxml2(struct yd_str text)
{
#ifdef HAVE_LIBXML2
    double begin = now();
    xmlDocPtr document = xmlReadMemory(text.data, (int)text.size, "bench.xml", NULL, XML_PARSE_NONET);
    double took = now() - begin;
    if (!document) return -1;
    xmlFreeDoc(document);
    return took;
#else
    (void)text;
    return 0;
#endif
}

int main(void)
{
    struct yd_buf text;
    yd_buf_init(&text, NULL);
    generate(&text);
    if (text.failed) return 1;
    double first = 0, best = 1e9, expat = 1e9, libxml2 = 1e9;
    uint32_t measurements = 0;
    for (int i = 0; i < ROUNDS; i++) {
        double took = load(yd_buf_view(&text), &measurements);
        if (i == 0) first = took;
        if (took < 0 || measurements != PARAMETERS) {
            fprintf(stderr, "bench-xtce: %u measurements, not %d\n", measurements, PARAMETERS);
            return 1;
        }
        best = YD_MIN(best, took);
        expat = YD_MIN(expat, bare_expat(yd_buf_view(&text)));
    }
    for (int i = 0; i < ROUNDS; i++) libxml2 = YD_MIN(libxml2, bare_libxml2(yd_buf_view(&text)));
    if (expat < 0 || libxml2 < 0) return 1;
    printf("XTCE of %d parameters, %.1f MiB: ready in %.1f ms (at most 50 wanted), the first time in %.1f ms\n",
           PARAMETERS, (double)text.size / (1 << 20), best, first);
    printf("  the same text through expat alone: %.1f ms", expat);
    if (libxml2 > 0)
        printf("; into libxml2's tree: %.1f ms\n", libxml2);
    else
        printf("; libxml2 is not here\n");
    yd_buf_fini(&text);
    return best > 50;
}
