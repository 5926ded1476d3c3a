// SPDX-License-Identifier: GPL-2.0
/* The arguments of the options that ask for devices. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"
#include "options.h"

#define MIN_CID		3U		/* 0 to 2 have meanings of their own */
#define TAG_BYTES	36
#define SERIAL_BYTES	20
#define TAP_BYTES	15

/* Cut the next word off a list with commas; NULL at its end. */
static char *next_word(char **rest)
{
	return *rest ? strsep(rest, ",") : NULL;
}

/* Is it "key=value"? */
static bool take(const char *word, const char *key, const char **value)
{
	size_t n = strlen(key);

	if (strncmp(word, key, n) || word[n] != '=')
		return false;
	*value = word + n + 1;
	return true;
}

static unsigned long number(const char *text, unsigned long least,
			    unsigned long most, const char *option,
			    const char *what)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno || n < least ||
	    n > most)
		usage_error("run", "%s: %s '%s': a number from %lu to %lu",
			    option, what, text, least, most);
	return n;
}

void option_disk(struct device_config *c, char *text)
{
	struct disk_config *disk = &c->disk[c->nr_disks];
	const char *value;
	char *word;

	if (c->nr_disks++ == MAX_DISKS)
		usage_error("run", "more than %d disks", MAX_DISKS);
	disk->path = next_word(&text);
	if (!*disk->path)
		usage_error("run", "--disk without a file");
	while ((word = next_word(&text))) {
		if (!strcmp(word, "ro")) {
			disk->readonly = true;
		} else if (take(word, "serial", &value)) {
			if (strlen(value) > SERIAL_BYTES)
				usage_error("run", "--disk: a serial has at most %d characters",
					    SERIAL_BYTES);
			disk->serial = value;
		} else if (take(word, "queues", &value)) {
			disk->queues = (unsigned int)number(value, 1, MAX_QUEUES,
							    "--disk", "queues");
		} else {
			usage_error("run", "--disk: '%s' is not one of ro, serial=TEXT, queues=N",
				    word);
		}
	}
}

/* ---- network ---- */

static void parse_mac(struct net_config *net, const char *text)
{
	unsigned int b[6];
	int i, used = 0;

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2],
		   &b[3], &b[4], &b[5], &used) != 6 || text[used])
		usage_error("run", "--net: mac '%s': six bytes such as 52:54:00:12:34:56",
			    text);
	if (b[0] & 1)
		usage_error("run", "--net: mac '%s' is a group's address", text);
	for (i = 0; i < 6; i++)
		net->mac[i] = (uint8_t)b[i];
	net->has_mac = true;
}

/* [tcp|udp]:[HOST]:PORT-[]:PORT, as elsewhere, or just HOSTPORT:GUESTPORT. */
static void parse_forward(struct net_config *net, const char *arg)
{
	struct forward *f = &net->forward[net->nr_forwards];
	char *text = xasprintf("%s", arg);	/* kept: @host points there */
	char *from = text, *to;
	struct in_addr ignored;

	if (net->nr_forwards++ == MAX_FORWARDS)
		usage_error("run", "--net: more than %d forwards", MAX_FORWARDS);
	f->host = "127.0.0.1";
	if (!strncmp(from, "udp:", 4) || !strncmp(from, "tcp:", 4)) {
		f->udp = *from == 'u';
		from += 4;
		to = strchr(from, '-');
		if (!to)
			goto bad;
		*to++ = 0;
		if (*to == ':')
			to++;
		if (strchr(from, ':')) {
			char *host = strsep(&from, ":");

			if (*host)
				f->host = host;
		}
	} else {
		to = strchr(from, ':');
		if (!to)
			goto bad;
		*to++ = 0;
	}
	if (inet_pton(AF_INET, f->host, &ignored) != 1)
		goto bad;
	f->host_port = (uint16_t)number(from, 1, 65535, "--net", "host port");
	f->guest_port = (uint16_t)number(to, 1, 65535, "--net", "guest port");
	return;
bad:
	usage_error("run", "--net: hostfwd '%s': write it like 2222:22, or tcp:127.0.0.1:2222-:22",
		    arg);
}

static enum vhost_use parse_vhost(const char *text)
{
	if (!strcmp(text, "on"))
		return VHOST_ON;
	if (!strcmp(text, "off"))
		return VHOST_OFF;
	usage_error("run", "--net: vhost '%s': on or off", text);
}

static void net_word(struct net_config *net, const char *word)
{
	const char *value;

	if (take(word, "mac", &value))
		parse_mac(net, value);
	else if (!net->tap && take(word, "hostfwd", &value))
		parse_forward(net, value);
	else if (!net->tap && !strcmp(word, "isolated"))
		net->isolated = true;
	else if (net->tap && take(word, "vhost", &value))
		net->vhost = parse_vhost(value);
	else
		usage_error("run", "--net: '%s' is not one of %s", word,
			    net->tap ? "mac=ADDRESS, vhost=on|off" :
			    "mac=ADDRESS, hostfwd=PORT:PORT, isolated");
}

void option_net(struct device_config *c, char *text)
{
	struct net_config *net = &c->net[c->nr_nets];
	char *word;

	if (c->nr_nets++ == MAX_NETS)
		usage_error("run", "more than %d network devices", MAX_NETS);
	word = next_word(&text);
	if (!take(word, "tap", &net->tap) && strcmp(word, "user"))
		usage_error("run", "--net '%s': user, or tap=NAME", word);
	if (net->tap && (!*net->tap || strlen(net->tap) > TAP_BYTES))
		usage_error("run", "--net tap: a name of 1 to %d characters",
			    TAP_BYTES);
	while ((word = next_word(&text)))
		net_word(net, word);
}

/* ---- the rest ---- */

void option_share(struct device_config *c, char *text)
{
	struct share_config *share = &c->share[c->nr_shares];
	char *word, *tag;
	unsigned int i;

	if (c->nr_shares++ == MAX_SHARES)
		usage_error("run", "more than %d shares", MAX_SHARES);
	word = next_word(&text);
	/* A folder may have a colon in its name, a tag has none. */
	tag = strrchr(word, ':');
	if (tag)
		*tag++ = 0;
	if (!*word)
		usage_error("run", "--share without a folder");
	share->path = word;
	share->tag = tag ? tag : "share";
	for (i = 0; i + 1 < c->nr_shares; i++)
		if (!strcmp(c->share[i].tag, share->tag))
			usage_error("run", "--share: two with the tag '%s'; write DIR:TAG",
				    share->tag);
	if (!*share->tag || strlen(share->tag) > TAG_BYTES)
		usage_error("run", "--share: a tag has 1 to %d characters",
			    TAG_BYTES);
	while ((word = next_word(&text))) {
		if (strcmp(word, "ro"))
			usage_error("run", "--share: '%s' is not ro", word);
		share->readonly = true;
	}
}

void option_vsock(struct device_config *c, const char *text)
{
	c->vsock_cid = (uint32_t)number(text, MIN_CID, UINT32_MAX - 1,
					"--vsock", "CID");
}

void option_virtio(struct device_config *c, char *text)
{
	char *word;

	while ((word = next_word(&text))) {
		if (!strcmp(word, "pci"))
			c->transport = VIRTIO_PCI;
		else if (!strcmp(word, "mmio"))
			c->transport = VIRTIO_MMIO;
		else if (!strcmp(word, "packed=off"))
			c->no_packed = true;
		else if (!strcmp(word, "packed=on"))
			c->no_packed = false;
		else
			usage_error("run", "--virtio: '%s' is not one of pci, mmio, packed=on, packed=off",
				    word);
	}
}

void option_console(struct device_config *c, const char *text)
{
	c->hvc = !strcmp(text, "virtio");
	c->ring = !strcmp(text, "ring");
	if (!c->hvc && !c->ring && strcmp(text, "serial"))
		usage_error("run", "--console '%s': serial, virtio or ring",
			    text);
}
