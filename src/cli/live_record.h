/* cli/live_record.h: what a recording of live values says besides values. */
#ifndef CLI_LIVE_RECORD_H
#define CLI_LIVE_RECORD_H

#define YD_LIVE_RECORD_MISSED                                                                                          \
    "yarder.live.missed" /* ROW {name, missed, seq, generation}, before the value after them */
#define YD_LIVE_RECORD_WRITER "yarder.live.writer" /* ROW {attached, generation} */

#endif
