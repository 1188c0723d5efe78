/* What a peer may be sent, as the configuration says it and Adj-RIB-Out applies it. */
#ifndef UNDERLAY_EXPORT_H
#define UNDERLAY_EXPORT_H

enum export_mode { EXPORT_ORIGINATED, EXPORT_ALL, EXPORT_NONE, EXPORT_BY_POLICY };

#endif
