/* elements/classes.h: the list of the built-in classes, sorted by the names in their tables. */
#ifndef ELEMENTS_CLASSES_H
#define ELEMENTS_CLASSES_H

#include <yarder/element.h>

/* clang-format off */
#define YD_BUILTIN_CLASSES(X) \
    X(broker) \
    X(cardinality) \
    X(collectd) \
    X(count) \
    X(crawl) \
    X(decom) \
    X(derive) \
    X(events) \
    X(exec) \
    X(facts) \
    X(file) \
    X(filter) \
    X(forget) \
    X(graphite) \
    X(graphite_pickle) \
    X(history) \
    X(host) \
    X(influx) \
    X(limits) \
    X(lines) \
    X(live) \
    X(log) \
    X(map) \
    X(native) \
    X(null) \
    X(opentsdb) \
    X(pace) \
    X(pcap) \
    X(print) \
    X(relabel) \
    X(remote_write) \
    X(replica) \
    X(route) \
    X(scrape) \
    X(self) \
    X(serial) \
    X(state) \
    X(statsd) \
    X(tcp) \
    X(tsdp) \
    X(udp) \
    X(window)
/* clang-format on */

#define YD_CLASS_DECLARE(name) extern const struct yd_element_class yd_class_##name;
YD_BUILTIN_CLASSES(YD_CLASS_DECLARE)
#undef YD_CLASS_DECLARE

#endif
