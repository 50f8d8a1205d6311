/* Any bytes as a definition of others. The first byte chooses the reader; what it makes is written as .ydm, read and
 * compiled. No crash, no leak; whatever is said can be printed. */
#include <stdlib.h>

#include "decom/convert.h"
#include "decom/plan.h"
#include "decom/xtce.h"
#include "decom/ydm_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int (*const readers[])(const char *path, struct yd_str text, struct yd_alloc *alloc,
                                  struct yd_diagnostics *diagnostics,
                                  struct yd_def **ret_def) = {yd_xtce_read, yd_cosmos_read, yd_csv_read, yd_gsw_read};
    if (!size) return 0;
    struct yd_diagnostics diagnostics;
    struct yd_def *def = NULL;
    struct yd_plan *plan = NULL;
    struct yd_buf ydm, shown;
    char *text = malloc(size); /* its own block: any byte too far is seen */
    if (!text) abort();
    memcpy(text, data + 1, size - 1);
    yd_diagnostics_init(&diagnostics, NULL);
    yd_buf_init(&ydm, NULL);
    yd_buf_init(&shown, NULL);
    int r = readers[data[0] % YD_COUNT(readers)]("fuzz", (struct yd_str){text, size - 1}, NULL, &diagnostics, &def);
    free(text);
    if ((r < 0) != (diagnostics.errors > 0) || (r < 0) != (def == NULL)) abort();
    yd_diagnostics_print(&diagnostics, data[0] & 64, &shown);
    if (r == 0) {
        (void)yd_ydm_write(def, &ydm);
        (void)yd_plan_read("fuzz.ydm", yd_buf_view(&ydm), NULL, &diagnostics, &plan);
        yd_plan_destroy(plan);
        plan = NULL;
        (void)yd_plan_compile(def, NULL, &diagnostics, &plan);
        yd_plan_destroy(plan);
    }
    yd_buf_fini(&shown);
    yd_buf_fini(&ydm);
    yd_diagnostics_fini(&diagnostics);
    return 0;
}
