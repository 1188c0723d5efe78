/* BGP messages, RFC 4271 section 4: header, OPEN, NOTIFICATION, KEEPALIVE, ROUTE-REFRESH. Pure: bytes in,
 * structs out. UPDATE is in update.h. */
#ifndef UNDERLAY_MSG_H
#define UNDERLAY_MSG_H

#include "wire/capability.h"
#include "wire/wire.h"

#define BGP_VERSION     4
#define BGP_HEADER_LEN  19
#define BGP_MAX_LEN     4096
#define BGP_MAX_EXT_LEN 65535 /* RFC 8654 */
#define BGP_AS_TRANS    23456

enum bgp_msg_type {
    BGP_OPEN = 1,
    BGP_UPDATE = 2,
    BGP_NOTIFICATION = 3,
    BGP_KEEPALIVE = 4,
    BGP_ROUTE_REFRESH = 5, /* RFC 2918 */
};

enum bgp_error_code { /* RFC 4271 section 4.5 */
                      BGP_ERR_HEADER = 1,
                      BGP_ERR_OPEN = 2,
                      BGP_ERR_UPDATE = 3,
                      BGP_ERR_HOLD_TIMER = 4,
                      BGP_ERR_FSM = 5,
                      BGP_ERR_CEASE = 6,
                      BGP_ERR_ROUTE_REFRESH = 7,  /* RFC 7313 */
                      BGP_ERR_SEND_HOLD_TIMER = 8 /* RFC 9687 */
};
enum { BGP_ERR_HDR_SYNC = 1, BGP_ERR_HDR_LENGTH = 2, BGP_ERR_HDR_TYPE = 3 };
enum {
    BGP_ERR_OPEN_VERSION = 1,
    BGP_ERR_OPEN_PEER_AS = 2,
    BGP_ERR_OPEN_ID = 3,
    BGP_ERR_OPEN_PARAM = 4,
    BGP_ERR_OPEN_HOLD_TIME = 6,
    BGP_ERR_OPEN_CAPABILITY = 7, /* RFC 5492 */
    BGP_ERR_OPEN_ROLE = 11,      /* RFC 9234 */
};
enum {
    BGP_ERR_UPD_MALFORMED = 1,
    BGP_ERR_UPD_UNKNOWN_WELLKNOWN = 2,
    BGP_ERR_UPD_MISSING = 3,
    BGP_ERR_UPD_FLAGS = 4,
    BGP_ERR_UPD_LENGTH = 5,
    BGP_ERR_UPD_ORIGIN = 6,
    BGP_ERR_UPD_NEXT_HOP = 8,
    BGP_ERR_UPD_OPTIONAL = 9,
    BGP_ERR_UPD_NLRI = 10,
    BGP_ERR_UPD_AS_PATH = 11,
};
enum { BGP_ERR_FSM_OPEN_SENT = 1, BGP_ERR_FSM_OPEN_CONFIRM = 2, BGP_ERR_FSM_ESTABLISHED = 3 }; /* RFC 6608 */
enum { /* RFC 4486 and later */
       BGP_CEASE_MAX_PREFIXES = 1,
       BGP_CEASE_ADMIN_SHUTDOWN = 2,
       BGP_CEASE_DECONFIGURED = 3,
       BGP_CEASE_ADMIN_RESET = 4,
       BGP_CEASE_REJECTED = 5,
       BGP_CEASE_CONFIG_CHANGE = 6,
       BGP_CEASE_COLLISION = 7,
       BGP_CEASE_RESOURCES = 8,
       BGP_CEASE_HARD_RESET = 9,
       BGP_CEASE_BFD_DOWN = 10,
};

#define BGP_ERROR_DATA                                                                                       \
    258 /* the longest shutdown communication with its length (RFC 9003), in a Hard Reset */
/* What a NOTIFICATION says, sent or received. code 0: none. */
struct bgp_error {
    uint8_t code, subcode;
    uint16_t len; /* of data; longer data is cut */
    uint8_t data[BGP_ERROR_DATA];
};
struct bgp_error bgp_error_make(uint8_t code, uint8_t subcode, const void *data, size_t len);
/* RFC 8538 section 3: a Hard Reset (Cease/9) that carries e, and the other way round: false when e is none.
 */
struct bgp_error bgp_error_wrap(const struct bgp_error *e);
bool bgp_error_unwrap(const struct bgp_error *e, struct bgp_error *inner);
/* "Cease/Administrative Shutdown", "UPDATE Message Error/Malformed AS_PATH", "code 9 subcode 4", "Hard Reset:
 * Cease/Peer De-configured". Returns buf. */
const char *bgp_error_format(const struct bgp_error *e, char *buf, size_t size);
/* The shutdown communication of RFC 9003 in a Cease/2 or /4, control characters replaced; "" if none,
 * "(malformed message)" if not UTF-8 or cut short. Of a Hard Reset: of the NOTIFICATION within. */
const char *bgp_error_message(const struct bgp_error *e, char *buf, size_t size);
void bgp_error_set_message(struct bgp_error *e, const char *utf8); /* cut at 255 bytes, at a character */

/* Checks the header at p (n >= 19 bytes are there): marker, length against type and max_len, type. RFC
 * 4271 6.1. 0 with *type and *len (whole message), or -EBADMSG with *err filled. */
int msg_header_decode(const uint8_t *p, size_t max_len, enum bgp_msg_type *type, size_t *len,
                      struct bgp_error *err);
/* Puts marker, zero length and type; msg_end writes the length. Returns the start, for msg_end; NULL when
 * full. */
uint8_t *msg_begin(struct wire_writer *w, enum bgp_msg_type type);
void msg_end(struct wire_writer *w, uint8_t *start);

struct open_msg {
    uint32_t asn;       /* from the 4-octet AS capability where there is one */
    uint16_t my_as;     /* the field itself */
    uint16_t hold_time; /* seconds */
    uint32_t id;        /* host order */
    struct capabilities caps;
};
/* body: what follows the header. Checks version, hold time (1 and 2 are refused), identifier 0, AS 0 (RFC
 * 7607), the parameters (RFC 5492, RFC 9072). Whether the AS is the expected one is the session's business. 0
 * or -EBADMSG. */
int open_decode(const uint8_t *body, size_t n, struct open_msg *out, struct bgp_error *err);
void open_encode(struct wire_writer *w, const struct open_msg *m); /* whole message */

int notification_decode(const uint8_t *body, size_t n, struct bgp_error *out); /* 0 or -EBADMSG */
void notification_encode(struct wire_writer *w, const struct bgp_error *e);    /* whole message */
void keepalive_encode(struct wire_writer *w);

struct refresh_msg {
    uint16_t afi;
    uint8_t subtype; /* 0 request; 1 and 2: RFC 7313 */
    uint8_t safi;
};
int refresh_decode(const uint8_t *body, size_t n, struct refresh_msg *out, struct bgp_error *err);
void refresh_encode(struct wire_writer *w, const struct refresh_msg *m);

#endif
