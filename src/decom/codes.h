/* decom/codes.h: the codes of what can be wrong with a definition, whatever it was written in. One row each: number,
 * name, what it means, what to do. */
#ifndef DECOM_CODES_H
#define DECOM_CODES_H

/* clang-format off */
#define YD_DEF_CODES(X) \
    X(1, FILE, "the file cannot be read", "Look at the path and its rights. A definition is UTF-8 and at most 16 MiB.") \
    X(2, LIMIT, "too much of something", "Split the definition, or look for a loop that makes it so large.") \
    X(10, CHARACTER, "a character that means nothing here", "Take it out, or put the text into quotes.") \
    X(11, STRING_END, "a text without its closing quote", "Texts end on the line where they begin.") \
    X(12, NUMBER, "a number that is none, or does not fit", "Write 12, -3, 0x1F, 0b101, 1.5 or 2e-3.") \
    X(13, BRACKET, "a bracket that is not closed, or closes nothing", "Brackets come in pairs.") \
    X(20, SYNTAX, "something else was expected here", "The message says what.") \
    X(21, WORD, "an unknown word", "The nearest known word is suggested.") \
    X(22, INDENT, "a line that belongs to nothing", "What belongs to a line is indented deeper than it.") \
    X(30, DUPLICATE, "a name given twice", "Rename one of them.") \
    X(31, TYPE, "an unknown type", "Declare it with `type`, or use one of the built-in ones.") \
    X(32, PARENT, "an unknown container", "Declare it with `container` or `packet`.") \
    X(33, FIELD, "an unknown field", "Fields can be used behind their place in the same container, or in its children.") \
    X(34, RING, "something contains itself", "Break the ring.") \
    X(40, SIZE, "a size that cannot be", "The message says which sizes can.") \
    X(41, ORDER, "a byte order that does not fit the size", "Whole bytes have an order; other bits follow the numbering.") \
    X(42, PLACE, "a place that cannot be", "Places lie inside the packet, behind what they depend on.") \
    X(43, VALUE, "a value that can never be", "The message says what fits.") \
    X(44, CALIBRATION, "a calibration that cannot be computed", "The message says why.") \
    X(45, LABEL, "labels that contradict each other", "Each raw value has one label.") \
    X(46, TIME, "a time that cannot be", "A time needs a tick and an epoch: `ms since unix`.") \
    X(47, OPTION, "an option that does not fit this type", "Take it out, or change the type.") \
    X(50, EMPTY, "nothing to decode", "A packet has fields, and a definition packets.") \
    X(51, AMBIGUOUS, "packets that cannot be told apart", "Give each `when`, so that exactly one holds.") \
    X(52, SEQUENCE, "a sequence counter that cannot count", "It is an unsigned integer of a fixed place.") \
    X(53, FRAME, "a commutated frame that cannot be", "The message says why.") \
    X(60, UNSUPPORTED, "known, but not decoded", "It is kept and shown, and never guessed.") \
    X(61, LIMITS, "limits that cannot be judged", "The message says why.") \
    X(62, DERIVED, "an expression that cannot be computed", "The message says why.")
/* clang-format on */

enum yd_def_code {
#define YD_DEF_CODE_ENUM(number, name, title, advice) YD_D_##name = (number),
    YD_DEF_CODES(YD_DEF_CODE_ENUM)
#undef YD_DEF_CODE_ENUM
};

#endif
