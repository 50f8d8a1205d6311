/* OpenTSDB telnet put: see lines.h. */
#include "lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    return fuzz_lines(&yd_opentsdb_format, data, size);
}
