/* flow/codes.h: every mistake the language knows, said once. The enum, the printed code, docs/errors.md and the test
 * that each has a golden file derive from this table. Numbers are for ever: a code that goes leaves a hole.
 *
 * Y0nn reading and grammar, Y1nn the ten checks, Y2nn compounds and tests, Y3nn what is not there yet. */
#ifndef FLOW_CODES_H
#define FLOW_CODES_H

#define YD_CODES(X)                                                                                                    \
    X(1, FILE, "a file cannot be read", "The path of an `include` is relative to the file it stands in.")              \
    X(2, FILE_SIZE, "a file is too large", "A topology file has at most 1 MiB. Split it with `include`.")              \
    X(3, NOT_TEXT, "a file is not UTF-8 text", "Save it as UTF-8. In strings, bytes that are not text are `\\xNN`.")   \
    X(4, INCLUDE_RING, "a file includes itself", "Put what both files need into a third one and include that.")        \
    X(5, INCLUDE_DEPTH, "includes are nested too deeply", "At most 16 files deep.")                                    \
    X(6, LIMIT, "too much of something", "Everything is limited; the message says how many there may be.")             \
    X(10, SYNTAX, "the text is not what the grammar expects here", "The message lists what could stand there.")        \
    X(11, CHARACTER, "a character that means nothing here", "Text stands in double quotes, comments begin with `#`.")  \
    X(12, STRING_END, "a text has no closing quote", "A text ends on its line. A newline in it is `\\n`.")             \
    X(13, ESCAPE, "an unknown escape in a text", "Escapes are `\\n \\t \\r \\\" \\\\ \\xNN \\u{NNNN}`.")               \
    X(14, NUMBER, "a malformed number, or an unknown unit",                                                            \
      "Durations: `ns us ms s m h d w`. Sizes: `B kB MB GB TB KiB MiB GiB TiB`. Rates: `5k/s`, `100/m`.")              \
    X(15, NESTING, "brackets are nested too deeply", "At most 32 deep.")                                               \
    X(16, BRACKET, "a bracket without its partner", "The caret shows the one that is left over.")                      \
    X(17, NO_EFFECT, "a statement that does nothing",                                                                  \
      "Name an element (`x :: Print()`) to use it elsewhere, or wire it: `a -> Print()`.")                             \
    X(18, QUERY_CHAIN, "a query wire that joins more than two ends",                                                   \
      "A query wire is a statement of its own: who asks `=>` who answers.")                                            \
    X(100, CLASS, "an unknown element class", "`yarder elements` lists the classes.")                                  \
    X(101, NODE, "an unknown element", "Declare it: `name :: Class()`. Names inside a compound are its own.")          \
    X(102, PORT, "an unknown port", "`yarder elements CLASS` lists the ports.")                                        \
    X(103, PARAMETER, "an unknown parameter", "`yarder elements CLASS` lists the parameters.")                         \
    X(104, ARROW, "a query port wired with a push arrow, or the reverse",                                              \
      "`->` pushes records, `=>` asks a query. Both ends of a wire must be of the arrow's sort.")                      \
    X(105, OPTION, "an unknown option", "Options of wires and of `with { … }` are listed in docs/language.md.")        \
    X(106, REFERENCE, "an unknown `$name`", "Declare it: `param name: type = value`, or as a compound's parameter.")   \
    X(107, TYPE, "an unknown type", "Types are int, float, text, bool, duration, size, rate, list, map.")              \
    X(108, KIND, "an unknown kind or schema",                                                                          \
      "Kinds are sample, tally, delta, state, event, fact, packet, row; schemas series, facts, rows, log.")            \
    X(109, SETTING, "`--set` names a parameter that the file does not declare", "`param name: type` declares it.")     \
    X(110, DIRECTION, "a wire that starts at an input, or ends at an output", "Turn the wire round.")                  \
    X(111, NO_PORT, "an element without a port that this wire could use",                                              \
      "A bare name means the first declared port of the wire's sort and direction; this one has none.")                \
    X(120, KINDS, "a wire that can carry nothing", "What one end sends, the other one does not take.")                 \
    X(121, NEEDS, "a wire that cannot carry what its reader needs", "Put an element between that makes it.")           \
    X(122, SCHEMA, "a query that its answerer does not understand", "Wire it to an element that answers this.")        \
    X(130, UNWIRED, "a required port that is not wired", "A deliberate discard is written `-> Null()`.")               \
    X(131, SINGLE, "several wires into a port that takes one",                                                         \
      "Merge them before: `a, b -> c` needs a port that can.")                                                         \
    X(132, WIRE_TWICE, "the same wire twice", "Everything would arrive twice. Take one of them away.")                 \
    X(133, ASKS_TWICE, "a query port that asks several answerers", "An answer comes from one place. Keep one wire.")   \
    X(135, COMPOUND_PORT, "a compound's port that leads nowhere inside", "Wire it in the compound's body.")            \
    X(140, RING, "a ring of wires that can block each other for ever",                                                 \
      "Give one wire of the ring `full: drop_old`, `drop_new` or `spill`, or put a Log into it.")                      \
    X(141, QUERY_RING, "a ring of queries, each waiting for the next", "No answer can ever come. Cut the ring.")       \
    X(142, FEEDBACK, "what an element says comes back to it", "A warning: records may go round for ever.")             \
    X(150, VALUE_TYPE, "a value of the wrong type", "`yarder elements CLASS` shows each parameter's type.")            \
    X(151, UNIT, "a number without a unit, or with another quantity's",                                                \
      "Durations `10s`, sizes `4MiB`, rates `5k/s`.")                                                                  \
    X(152, RANGE, "a value out of range", "The message shows the range.")                                              \
    X(153, GIVEN_TWICE, "the same parameter or option twice", "Keep one of them.")                                     \
    X(154, MISSING, "a required parameter is missing", "The help line shows how to give it.")                          \
    X(155, DEPRECATED, "a deprecated parameter", "A warning: it will go. Its documentation names what to use.")        \
    X(156, WORD, "a word that is not one of those allowed", "The help line lists them.")                               \
    X(157, PATTERN, "a malformed glob or name pattern", "`*` any run, `?` one, `[a-z]` one of, `{a,b}` either.")       \
    X(158, TOGETHER, "parameters that do not go together", "The message says which, in the class's own words.")        \
    X(159, ENVIRONMENT, "an environment variable is not set", "Set it, or give a default: `env(\"X\", 10)`.")          \
    X(160, NO_VALUE, "a parameter of the file without a value", "Start with `--set name=value`, or give a default.")   \
    X(161, SELF_VALUE, "a parameter that is made of itself", "Break the ring of `$name`s.")                            \
    X(162, MISPLACED, "an option where it means nothing", "The message says where it belongs.")                        \
    X(170, DECLARED_TWICE, "a name declared twice", "Rename one of them. The second note shows the first.")            \
    X(171, UNREACHED, "an element that nothing reaches",                                                               \
      "Wire it to a source, or take it away. A Log needs none where a Native is.")                                     \
    X(172, ADDRESS, "two elements listen on one address", "Give one of them another port.")                            \
    X(173, STREAM, "two elements write one stream", "A stream has one writer. Wire both into one Log.")                \
    X(174, FILE_TWICE, "two elements write one file", "Wire both into one element, or give another path.")             \
    X(175, CURSOR_TWICE, "two wires share one cursor", "A cursor is one reader's position. Name them apart.")          \
    X(176, FILE_WRONG, "a mistake in a file that a parameter names",                                                   \
      "The message has the file, the line and the column.")                                                            \
    X(180, ACKNOWLEDGE, "acknowledgement asked of a source that cannot replay",                                        \
      "Put a Log between: what was not acknowledged is read from it again.")                                           \
    X(190, SHARD_KEY, "a shard by a key that does not exist", "A shard's key is `name`, or a tag: `by: \"host\"`.")    \
    X(191, SHARD_STATE, "a shard of a class that cannot move its state", "Say `min` = `max`: it will not grow.")       \
    X(192, SHARD_COUNT, "a shard's `min` is above its `max`", "1 <= min <= max.")                                      \
    X(195, MEMORY, "queues want more memory than there is", "Give the wires smaller queues: `-[queue: 1MiB]->`.")      \
    X(196, DISK, "retention wants more disk than there is", "Keep less.")                                              \
    X(200, RECURSION, "a compound that contains itself", "Compounds are expanded before anything runs.")               \
    X(210, FEED, "a feed or expectation that cannot work", "The message says what this element can be fed.")           \
    X(211, RECORD, "a malformed record in a test",                                                                     \
      "A record is `{ name: \"cpu\", value: 1.5, time: 0, kind: sample }`.")                                           \
    X(300, NOT_YET, "part of the language, but not there yet", "It is checked already, and refused.")

enum {
#define YD_CODE_ENUM(number, name, title, advice) YD_Y_##name = (number),
    YD_CODES(YD_CODE_ENUM)
#undef YD_CODE_ENUM
};

#endif
