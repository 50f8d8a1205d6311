/* decom/xtce_internal.h: what the files that read XTCE share.
 *
 *   xtce.c            systems, names, parameters       xtce_containers.c  containers, entries
 *   xtce_types.c      types and their encodings        xtce_match.c       conditions, amounts, calibrators, alarms
 *
 * Memory that runs out is one jump: only the arenas and the table of names hold any. */
#ifndef DECOM_XTCE_INTERNAL_H
#define DECOM_XTCE_INTERNAL_H

#include <setjmp.h>

#include "decom/xml.h"
#include "decom/xtce.h"

/* clang-format off */
#define XTCE_TAGS(X) \
    X(SpaceSystem) X(TelemetryMetaData) X(CommandMetaData) X(ParameterTypeSet) X(ParameterSet) X(ContainerSet) \
    X(StringParameterType) X(EnumeratedParameterType) X(IntegerParameterType) X(BinaryParameterType) \
    X(FloatParameterType) X(BooleanParameterType) X(RelativeTimeParameterType) X(AbsoluteTimeParameterType) \
    X(ArrayParameterType) X(AggregateParameterType) \
    X(LongDescription) X(AliasSet) X(AncillaryDataSet) X(Header) X(DefaultRateInStream) X(RateInStreamSet) \
    X(ParameterProperties) X(UnitSet) X(Unit) X(ToString) X(ValidRange) X(DefaultAlarm) X(ContextAlarmList) \
    X(SizeRangeInCharacters) X(EnumerationList) X(Enumeration) X(MemberList) X(Member) X(DimensionList) X(Dimension) \
    X(StartingIndex) X(EndingIndex) X(Encoding) X(ReferenceTime) X(Epoch) X(OffsetFrom) \
    X(IntegerDataEncoding) X(FloatDataEncoding) X(StringDataEncoding) X(BinaryDataEncoding) \
    X(ErrorDetectCorrect) X(DefaultCalibrator) X(ContextCalibratorList) X(ContextCalibrator) X(Calibrator) \
    X(ContextMatch) X(PolynomialCalibrator) X(Term) X(SplineCalibrator) X(SplinePoint) X(MathOperationCalibrator) \
    X(ValueOperand) X(ThisParameterOperand) X(ParameterInstanceRefOperand) X(Operator) \
    X(ByteOrderList) X(Byte) X(SizeInBits) X(Variable) X(Fixed) X(FixedValue) X(DynamicValue) X(DiscreteLookupList) X(DiscreteLookup) \
    X(ParameterInstanceRef) X(LinearAdjustment) X(LeadingSize) X(TerminationChar) \
    X(StaticAlarmRanges) X(ChangeAlarmRanges) X(WatchRange) X(WarningRange) X(DistressRange) X(CriticalRange) \
    X(SevereRange) X(EnumerationAlarmList) X(EnumerationAlarm) \
    X(Parameter) X(ParameterRef) X(SequenceContainer) X(EntryList) X(BaseContainer) X(RestrictionCriteria) \
    X(NextContainer) X(BinaryEncoding) X(ParameterRefEntry) X(ContainerRefEntry) X(ArrayParameterRefEntry) \
    X(LocationInContainerInBits) X(RepeatEntry) X(Count) X(Offset) X(IncludeCondition) X(TimeAssociation) \
    X(Comparison) X(ComparisonList) X(BooleanExpression) X(Condition) X(ANDedConditions) X(ORedConditions) \
    X(ComparisonOperator) X(Value) X(FromBinaryTransformAlgorithm) X(ToBinaryTransformAlgorithm)
/* clang-format on */
enum xtce_tag {
    XT_OTHER,
#define XTCE_TAG(name) XT_##name,
    XTCE_TAGS(XTCE_TAG)
#undef XTCE_TAG
};

struct xtce_system {
    struct xtce_system *parent;
    struct yd_str name, path; /* "Sat.Power" */
    uint32_t number;
};
struct xtce_uses { /* a parameter that a type asks: whoever has the type must have it before */
    struct xtce_uses *next;
    const struct xtce_parameter *parameter;
};
struct xtce_type {
    struct xtce_type *next;
    struct xtce_system *system;
    const struct yd__xml *node;
    struct yd_def_type *type; /* of one element */
    uint32_t dimensions;      /* an array's */
    struct yd_def_amount dimension[2];
    struct yd_def_limits *limits, *limits_last; /* for each entry that has this type */
    struct xtce_uses *uses;
    struct yd_str one, zero; /* of a boolean */
    enum { XTCE_NEW, XTCE_BEGUN, XTCE_DONE } state;
};
struct xtce_parameter {
    struct xtce_parameter *next;
    struct xtce_system *system;
    const struct yd__xml *node;
    struct xtce_type *type;         /* NULL: not known, which has been said */
    struct yd_str field, published; /* its name in containers, and to the outside */
};
struct xtce_container {
    struct xtce_container *next, *parent;
    struct xtce_system *system;
    const struct yd__xml *node;
    struct yd_def_container *container;
    bool included, has_children, complained;
    enum { XTCE_C_NEW, XTCE_C_BEGUN, XTCE_C_DONE } state;
};
enum xtce_kind { XTCE_SYSTEM, XTCE_TYPE, XTCE_PARAMETER, XTCE_CONTAINER, XTCE_FIELD_NAME, XTCE_OUTER_NAME, XTCE_HAS };
struct xtce_named {
    enum xtce_kind kind;
    const void *in; /* the system; of XTCE_HAS the container, `name` being the parameter's pointer */
    struct yd_str name;
    void *what;
};

#define XTCE_BLOCK 4096
struct xtce_slot {         /* small: a lookup costs one line of the cache */
    uint32_t hash, number; /* of the item, from 1; 0: free */
};
struct xtce {
    struct yd_def *def;
    struct yd_arena arena; /* what is only needed while reading */
    struct yd_diagnostics *diagnostics;
    struct xtce_system *root;
    uint32_t system_count;
    bool is_older; /* than 1.2 */
    struct xtce_slot *table;
    size_t table_size, table_count;
    struct xtce_named *named[8192]; /* blocks of XTCE_BLOCK */
    struct xtce_type *types, *types_last;
    struct xtce_parameter *parameters, *parameters_last;
    struct xtce_container *containers, *containers_last;
    unsigned depth;
    jmp_buf out_of_memory;
};

/* ---- xtce.c ---- */
void *xtce_piece(struct xtce *xtce, size_t size); /* zeroed, of the reader's arena */
void xtce_check(struct xtce *xtce, const void *made);
struct yd_str xtce_attribute(const struct yd__xml *node, const char *name); /* size 0: there is none */
bool xtce_flag(struct xtce *xtce, const struct yd__xml *node, const char *name, bool otherwise);
/* A whole number of an attribute or an element's text. False: it is none (said). */
bool xtce_number(struct xtce *xtce, const struct yd__xml *node, struct yd_str text, int64_t *ret);
bool xtce_real(struct xtce *xtce, const struct yd__xml *node, struct yd_str text, double *ret);
const struct yd__xml *xtce_child(const struct yd__xml *node, enum xtce_tag tag); /* the first one, or NULL */
/* An element that is not read: true when it says nothing about how bits are decoded; else it is named in a warning. */
bool xtce_is_aside(struct xtce *xtce, const struct yd__xml *node);
/* Text of the model saying why something is not decoded: "<X> of line 12 …". */
const char *xtce_why(struct xtce *xtce, const struct yd__xml *node, const char *format, ...) YD_PRINTF(3, 4);
struct xtce_named *xtce_find(struct xtce *xtce, enum xtce_kind kind, const void *in, struct yd_str name, bool add);
/* What a name means, said from within `from`: NULL: nothing has it. *ret_rest: ".member" behind it; NULL: none may be.
 */
void *xtce_resolve(struct xtce *xtce, enum xtce_kind kind, struct xtce_system *from, struct yd_str name,
                   struct yd_str *ret_rest);
/* A word of letters, digits and _ made of a name, which nothing else of that kind has; the name itself when it is one.
 */
struct yd_str xtce_word(struct xtce *xtce, enum xtce_kind kind, struct yd_str name);
struct yd_str xtce_join(struct xtce *xtce, struct yd_str a, struct yd_str b); /* "a.b", terminated */

/* ---- xtce_types.c ---- */
/* The type, resolved; NULL: it is in a ring with itself (said). */
struct xtce_type *xtce_type(struct xtce *xtce, struct xtce_type *type);

/* ---- xtce_match.c ---- */
struct xtce_asks { /* where names are looked up, and what was asked there */
    struct xtce_system *system;
    const struct xtce_container *container; /* NULL: of a type */
    struct xtce_uses **uses;                /* of a type */
};
/* A reference to a parameter as the model's. NULL and *ret_why: not decoded. ret_type may be NULL. */
bool xtce_reference(struct xtce *xtce, const struct xtce_asks *asks, const struct yd__xml *node,
                    struct yd_def_ref *ret_ref, const struct xtce_parameter **ret_parameter,
                    const struct yd_def_type **ret_type, const char **ret_why);
/* Of an element that holds Comparison, ComparisonList or BooleanExpression. NULL and *ret_why: not decoded. */
struct yd_def_condition *xtce_match(struct xtce *xtce, const struct xtce_asks *asks, const struct yd__xml *node,
                                    const char **ret_why);
/* FixedValue or DynamicValue; false and *ret_why. */
bool xtce_amount(struct xtce *xtce, const struct xtce_asks *asks, const struct yd__xml *node,
                 struct yd_def_amount *ret_amount, const char **ret_why);
void xtce_calibrators(struct xtce *xtce, const struct xtce_asks *asks, const struct yd__xml *encoding,
                      struct yd_def_type *type);
void xtce_alarms(struct xtce *xtce, struct xtce_type *type);

/* ---- xtce_containers.c ---- */
void xtce_containers(struct xtce *xtce);
/* The path of the parameter's field in the container or those it continues; size 0: it has none. */
struct yd_str xtce_path(struct xtce *xtce, const struct xtce_container *container,
                        const struct xtce_parameter *parameter);

#endif
