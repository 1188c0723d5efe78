/* Every command there is. A row added here is parsed, completed and documented; what runs it is in exec.c.
 *
 * The words are those of FRR's vtysh, so that fingers and scripts need no new habits; the optional ones
 * ("ip", "unicast") are there for the same reason. The order is that of the help. */
#include "control/grammar.h"

#define FAMILY "[ipv4|ipv6] [unicast]"

const struct grammar_row grammar_rows[] = {
    {CMD_SHOW_SUMMARY, "show [ip] bgp " FAMILY " summary [established|failed]",
     "peers, their state and prefix counts; those that failed with the reason", GRAMMAR_JSON},
    {CMD_SHOW_NEIGHBORS, "show [ip] bgp " FAMILY " neighbors [PEER]",
     "everything about one peer (address, interface, description) or all", GRAMMAR_JSON},
    {CMD_SHOW_ADVERTISED, "show [ip] bgp " FAMILY " neighbors PEER advertised-routes",
     "what the peer has from us", GRAMMAR_JSON},
    {CMD_SHOW_RECEIVED, "show [ip] bgp " FAMILY " neighbors PEER received-routes",
     "what the peer sent, filtered routes included", GRAMMAR_JSON},
    {CMD_SHOW_FILTERED, "show [ip] bgp " FAMILY " neighbors PEER filtered-routes",
     "what of it the import refused, and why", GRAMMAR_JSON},
    {CMD_SHOW_BGP, "show [ip] bgp " FAMILY " [PREFIX|ADDRESS]",
     "the BGP table, or one prefix in detail (an address: its longest match)", GRAMMAR_JSON},
    {CMD_SHOW_IP_ROUTE, "show ip route [PREFIX|ADDRESS]",
     "our IPv4 routes as the kernel has them, and those it does not have", GRAMMAR_JSON},
    {CMD_SHOW_IPV6_ROUTE, "show ipv6 route [PREFIX|ADDRESS]", "the same for IPv6", GRAMMAR_JSON},
    {CMD_SHOW_BFD, "show bfd peers", "BFD with the peers: state, timers, and what stands in the way",
     GRAMMAR_JSON},
    {CMD_SHOW_POLICY, "show policy [POLICY [PREFIX]]",
     "policies, the rules of one, or what it makes of a prefix and why", GRAMMAR_JSON},
    {CMD_SHOW_RUNNING, "show running-config",
     "the configuration in force, without secrets, and changes by command", GRAMMAR_JSON},
    {CMD_SHOW_MEMORY, "show memory", "memory by part and of the process", GRAMMAR_JSON},
    {CMD_SHOW_VERSION, "show version", "version and uptime of the daemon", GRAMMAR_JSON},
    {CMD_CLEAR_BGP, "clear bgp PEER|* [soft [in|out]]",
     "reset sessions; soft: judge or send the routes again without a reset", 0},
    {CMD_ADVERTISE, "advertise PREFIX... [community COMMUNITY...]... [med N] [weight N]",
     "originate prefixes until they are withdrawn, restarts included", GRAMMAR_STATE},
    {CMD_WITHDRAW, "withdraw PREFIX...", "take back what advertise said", 0},
    {CMD_SHUTDOWN, "neighbor PEER shutdown [message TEXT...]",
     "close a session and keep it down, restarts included; the peer is told TEXT", GRAMMAR_STATE},
    {CMD_NO_SHUTDOWN, "no neighbor PEER shutdown", "take that back", 0},
    {CMD_RELOAD, "reload", "read the configuration again and apply the difference", 0},
    {CMD_LOG_LEVEL, "log level error|warn|info|debug", "change how much the speaker logs, until it restarts",
     0},
    {CMD_DEBUG, "debug PEER [for DURATION]",
     "log the peer's messages, decoded, for 60s or as told, at most 1h", 0},
    {CMD_NO_DEBUG, "no debug PEER", "stop that before its time", 0},
    {CMD_SHOW_DEBUG, "show debug", "whose messages are logged, and for how long", GRAMMAR_JSON},
    {CMD_HELP, "help [COMMAND...]", "list the commands, or those that start with some words", GRAMMAR_LOCAL},
    {CMD_NONE, 0, 0, 0},
};
