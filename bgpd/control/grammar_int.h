/* Between the files of the grammar: its compiled form and one match in progress. */
#ifndef UNDERLAY_GRAMMAR_INT_H
#define UNDERLAY_GRAMMAR_INT_H

#include <stdint.h>

#include "control/grammar.h"

#define PATTERN_MAX 24 /* words in one row's syntax */

struct token {
    char text[20]; /* keyword, or the argument's name */
    bool keyword;
    uint8_t argument; /* row of the table of arguments */
};
struct pattern {
    const struct grammar_row *row;
    struct token tokens[PATTERN_MAX];
    uint32_t follow[PATTERN_MAX]; /* positions that may come after each */
    uint32_t first, last;
    unsigned n;
};
struct grammar {
    struct pattern patterns[CMD_COUNT];
    unsigned n;
};

struct match {
    uint32_t expected[CMD_COUNT]; /* a row: the positions that the next word may take */
    bool ends[CMD_COUNT];         /* a row: complete after the words so far */
};
struct reading {
    const char *keyword; /* NULL: an argument */
};
enum reading_result { READ_OK, READ_AMBIGUOUS, READ_NONE };

void match_start(const struct grammar *g, struct match *m);
enum reading_result match_read(const struct grammar *g, const struct match *m, const char *word,
                               struct reading *out);
void match_advance(const struct grammar *g, struct match *m, const char *word, const struct reading *as);

/* One line about what is wrong and what would be right. */
void hint_word(const struct grammar *g, const struct match *m, const struct command *c, unsigned at,
               enum reading_result why, char *out, size_t size);
void hint_incomplete(const struct grammar *g, const struct match *m, const struct command *c, char *out,
                     size_t size);

#endif
