/*
 * CXL fabric object: its type, properties and completion
 *
 * Copyright the cxl-fabric authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qom/object_interfaces.h"
#include "qemu/host-utils.h"
#include "qemu/units.h"
#include "system/system.h"
#include "compat.h"
#include "fabric-internal.h"

/* Completion: which role it is, and the topology of an owner */

static void topology_from_properties(CXLFabric *f, uint32_t default_hosts)
{
    struct cxlf_topology *t = &f->directory.topology;

    t->hosts = f->hosts ? f->hosts : default_hosts;
    t->leaves = f->leaves ? f->leaves : 1;
    t->shards = f->shards ? f->shards : 4;
    t->gfams = f->gfams ? f->gfams : 1;
    t->grain = f->grain;
    t->line_entries = f->line_entries;
    t->ways = f->ways;
    t->tiers = !f->has_tiers || f->tiers;
    cxlf_topology_fill(t);
    for (uint32_t i = 0; i < MIN(t->gfams, CXLF_MAX_GFAMS); i++) {
        t->gfam[i] = (struct cxlf_gfam) {
            .hot = f->hot ? f->hot : 256 * MiB,
            .bulk = f->has_bulk ? f->bulk : 256 * MiB,
            .leaf = i % t->leaves,
            .software = f->bulk_mode == CXL_FABRIC_BULK_MODE_SOFTWARE,
        };
    }
    for (uint32_t i = 0; i < MIN(t->hosts, CXLF_MAX_HOSTS); i++) {
        t->host_leaf[i] = i % t->leaves;
    }
}

/* The first property that is given and only an owner may give, or NULL. */
static const char *owners_property(CXLFabric *f)
{
    return f->hosts ? "hosts" : f->leaves ? "leaves" :
           f->shards ? "shards" : f->gfams ? "gfams" :
           f->grain ? "grain" : f->line_entries ? "line-entries" :
           f->ways ? "ways" : f->has_tiers ? "tiers" :
           f->hot ? "hot" : f->has_bulk ? "bulk" :
           f->has_bulk_mode ? "bulk-mode" : NULL;
}

/*
 * A page of BULK in lines can use 64 entries of the finite directory: by
 * default as many pages as it has entries for.
 */
static bool set_pool(CXLFabric *f, Error **errp)
{
    const struct cxlf_topology *t = &f->directory.topology;
    uint64_t most = (uint64_t)t->line_entries * t->leaves * t->shards /
                    (CXLF_PAGE / cxlf_topology_grain(t));

    most = MIN(most, UINT32_MAX);
    if (f->has_precise_pages && f->precise_pages > most) {
        error_setg(errp, "'precise-pages' must be at most %" PRIu64 ", for "
                   "which the directory has entries", most);
        return false;
    }
    f->table->precise_pages = f->has_precise_pages ? f->precise_pages : most;
    return true;
}

static bool read_topology(CXLFabric *f, uint32_t default_hosts, Error **errp)
{
    struct cxlf_topology *t = &f->directory.topology;
    const char *why;

    if (f->topology_file) {
        const char *extra = owners_property(f);

        if (extra) {
            error_setg(errp, "'%s' and 'topology' exclude each other: the "
                       "file says it", extra);
            return false;
        }
        if (!cxl_fabric_load_topology(f->topology_file, t, &f->graph, errp)) {
            return false;
        }
    } else {
        topology_from_properties(f, default_hosts);
        if (!cxlf_topology_check(t, &why)) {
            error_setg(errp, "%s", why);
            return false;
        }
        f->graph = cxl_fabric_default_graph(t);
    }
    for (uint32_t i = t->gfams; i < CXLF_MAX_GFAMS; i++) {
        if (f->memdev[i]) {
            error_setg(errp, "'memdev%u': the topology has only %u GFAM "
                       "devices", i, t->gfams);
            return false;
        }
    }
    return true;
}

static bool complete_owner(CXLFabric *f, uint32_t default_hosts, Error **errp)
{
    qemu_uuid_generate(&f->uuid);
    cxl_fabric_init_poison(f);
    if (!read_topology(f, default_hosts, errp) ||
        !cxl_fabric_create_doorbells(f, errp) ||
        !cxl_fabric_create_segments(f, errp) || !set_pool(f, errp)) {
        return false;
    }
    cxl_fabric_create_fm(f);
    return !f->listen || cxl_fabric_listen(f, errp);
}

static bool complete_member(CXLFabric *f, Error **errp)
{
    const char *extra = owners_property(f);

    if (!extra && f->has_on_death) {
        extra = "on-death";     /* a topology does not say it */
    }
    if (!extra && f->log_slots) {
        extra = "log-slots";
    }
    if (!extra && f->bind_timeout) {
        extra = "bind-timeout";
    }
    if (!extra && f->has_precise_pages) {
        extra = "precise-pages";
    }
    if (!extra && f->has_host_requests) {
        extra = "host-requests";
    }
    if (!extra && f->host_managers) {
        extra = "host-managers";
    }
    if (extra) {
        error_setg(errp, "'%s' is the owner's to set; leave it out when "
                   "joining, or add listen=on to own the fabric", extra);
        return false;
    }
    for (int i = 0; i < CXLF_MAX_GFAMS; i++) {
        if (f->memdev[i]) {
            error_setg(errp, "'memdev%d' is the owner's to set; leave it out "
                       "when joining", i);
            return false;
        }
    }
    return cxl_fabric_join(f, errp);
}

static bool check_socket(CXLFabric *f, Error **errp)
{
    struct sockaddr_un un;

    if (f->listen && !f->socket) {
        error_setg(errp, "'listen' needs 'socket', the path to listen at");
        return false;
    }
    if (f->socket && (!f->socket[0] ||
                      strlen(f->socket) >= sizeof(un.sun_path))) {
        error_setg(errp, "'socket' must be a path of 1 to %zu bytes",
                   sizeof(un.sun_path) - 1);
        return false;
    }
    return true;
}

static void drop(CXLFabric *f)
{
    cxl_fabric_drop_lds(f);
    cxl_fabric_stop_bulk_change(f);
    cxl_fabric_drop_fm(f);
    cxl_fabric_drop_segments(f);
    cxl_fabric_drop_doorbells(f);
    cxl_fabric_drop_poison(f);
}

static void cxl_fabric_complete(UserCreatable *uc, Error **errp)
{
    CXLFabric *f = CXL_FABRIC(uc);
    bool ok;

    if (!check_socket(f, errp)) {
        return;
    }
    g_free(f->id);
    f->id = g_strdup(object_get_canonical_path_component(OBJECT(f)));
    if (f->socket && !f->listen) {
        f->kind = CXL_FABRIC_MEMBER;
        ok = complete_member(f, errp);
    } else {
        f->kind = f->listen ? CXL_FABRIC_OWNER : CXL_FABRIC_EMBEDDED;
        ok = complete_owner(f, f->listen ? 8 : 1, errp);
    }
    if (!ok) {
        cxl_fabric_leave(f);
        drop(f);
        f->kind = CXL_FABRIC_NONE;
    }
}

static bool cxl_fabric_can_be_deleted(UserCreatable *uc)
{
    return !CXL_FABRIC(uc)->attached;
}

/* Properties */

static bool changeable(CXLFabric *f, Error **errp)
{
    if (f->kind != CXL_FABRIC_NONE) {
        error_setg(errp, "cannot be changed once the fabric exists");
        return false;
    }
    return true;
}

static char *get_socket(Object *obj, Error **errp)
{
    return g_strdup(CXL_FABRIC(obj)->socket);
}

static void set_socket(Object *obj, const char *value, Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);

    if (changeable(f, errp)) {
        g_free(f->socket);
        f->socket = g_strdup(value);
    }
}

static char *get_topology(Object *obj, Error **errp)
{
    return g_strdup(CXL_FABRIC(obj)->topology_file);
}

static void set_topology(Object *obj, const char *value, Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);

    if (changeable(f, errp)) {
        g_free(f->topology_file);
        f->topology_file = g_strdup(value);
    }
}

static bool get_listen(Object *obj, Error **errp)
{
    return CXL_FABRIC(obj)->listen;
}

static void set_listen(Object *obj, bool value, Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);

    if (changeable(f, errp)) {
        f->listen = value;
    }
}

static bool get_host_managers(Object *obj, Error **errp)
{
    return CXL_FABRIC(obj)->host_managers;
}

static void set_host_managers(Object *obj, bool value, Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);

    if (changeable(f, errp)) {
        f->host_managers = value;
    }
}

/* The numbers with a range; @opaque of their accessors. */
typedef struct CXLFabricNumber {
    const char *name;
    size_t offset;      /* of a uint32_t */
    uint32_t max;
    const char *description;
} CXLFabricNumber;

static CXLFabricNumber numbers[] = {
    { "hosts", offsetof(CXLFabric, hosts), CXLF_MAX_HOSTS,
      "How many hosts may join (owner only)" },
    { "leaves", offsetof(CXLFabric, leaves), CXLF_MAX_LEAVES,
      "Number of leaf switches (owner only)" },
    { "shards", offsetof(CXLFabric, shards), CXLF_MAX_SHARDS,
      "Directory shards of each leaf (owner only)" },
    { "gfams", offsetof(CXLFabric, gfams), CXLF_MAX_GFAMS,
      "Number of GFAM devices (owner only)" },
    { "grain", offsetof(CXLFabric, grain), CXLF_PAGE,
      "Bytes that a directory entry for lines covers (owner only)" },
    { "line-entries", offsetof(CXLFabric, line_entries), 1u << 30,
      "Directory entries for lines of each shard; without it one for each "
      "line of HOT (owner only)" },
    { "log-slots", offsetof(CXLFabric, log_slots), CXLF_LOG_MAX,
      "Slots of each ownership log; without it as many as all pages need "
      "(owner only)" },
    { "bind-timeout", offsetof(CXLFabric, bind_timeout), 3600,
      "Seconds that a host has to show a logical device, or to let go of it; "
      "without it 60 (owner only)" },
    { "ways", offsetof(CXLFabric, ways), CXLF_MAX_WAYS,
      "Entries of a set of a finite directory (owner only)" },
};

static void get_number(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    CXLFabricNumber *n = opaque;
    uint32_t *field = (void *)((char *)CXL_FABRIC(obj) + n->offset);

    visit_type_uint32(v, name, field, errp);
}

static void set_number(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    CXLFabricNumber *n = opaque;
    uint32_t *field = (void *)((char *)CXL_FABRIC(obj) + n->offset);
    uint32_t value;

    if (!changeable(CXL_FABRIC(obj), errp) ||
        !visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    if (value < 1 || value > n->max) {
        error_setg(errp, "'%s' must be 1 to %u", name, n->max);
        return;
    }
    if (field == &CXL_FABRIC(obj)->log_slots &&
        (value < CXLF_LOG_MIN || !is_power_of_2(value))) {
        error_setg(errp, "'%s' must be a power of two from %u to %u", name,
                   CXLF_LOG_MIN, n->max);
        return;
    }
    *field = value;
}

static void get_precise_pages(Object *obj, Visitor *v, const char *name,
                              void *opaque, Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);
    uint32_t value = f->table ? f->table->precise_pages : f->precise_pages;

    visit_type_uint32(v, name, &value, errp);
}

static void set_precise_pages(Object *obj, Visitor *v, const char *name,
                              void *opaque, Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);

    if (changeable(f, errp) &&
        visit_type_uint32(v, name, &f->precise_pages, errp)) {
        f->has_precise_pages = true;
    }
}

static void get_size(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);
    uint64_t value = opaque ? f->bulk : f->hot;

    visit_type_size(v, name, &value, errp);
}

/* @opaque: NULL for 'hot', anything else for 'bulk' */
static void set_size(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);
    uint64_t value;

    if (!changeable(f, errp) || !visit_type_size(v, name, &value, errp)) {
        return;
    }
    if (opaque) {
        f->bulk = value;
        f->has_bulk = true;
    } else if (value) {
        f->hot = value;
    } else {
        error_setg(errp, "'hot' must be a multiple of 256 MiB from 256 MiB "
                   "to 64 GiB");
    }
}

static void get_host(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);
    int32_t value = f->kind == CXL_FABRIC_NONE ? f->want_host : f->self;

    visit_type_int32(v, name, &value, errp);
}

static void set_host(Object *obj, Visitor *v, const char *name, void *opaque,
                     Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);
    int32_t value;

    if (!changeable(f, errp) || !visit_type_int32(v, name, &value, errp)) {
        return;
    }
    if (value < -1 || value >= CXLF_MAX_HOSTS) {
        error_setg(errp, "'host' must be -1 (any) to %d", CXLF_MAX_HOSTS - 1);
        return;
    }
    f->want_host = value;
}

static bool get_tiers(Object *obj, Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);

    return !f->has_tiers || f->tiers;
}

static void set_tiers(Object *obj, bool value, Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);

    if (changeable(f, errp)) {
        f->tiers = value;
        f->has_tiers = true;
    }
}

static int get_on_death(Object *obj, Error **errp)
{
    return CXL_FABRIC(obj)->on_death;
}

static void set_on_death(Object *obj, int value, Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);

    if (changeable(f, errp)) {
        f->on_death = value;
        f->has_on_death = true;
    }
}

static int get_host_requests(Object *obj, Error **errp)
{
    return CXL_FABRIC(obj)->host_requests;
}

static void set_host_requests(Object *obj, int value, Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);

    if (changeable(f, errp)) {
        f->host_requests = value;
        f->has_host_requests = true;
    }
}

static int get_bulk_mode(Object *obj, Error **errp)
{
    return CXL_FABRIC(obj)->bulk_mode;
}

static void set_bulk_mode(Object *obj, int value, Error **errp)
{
    CXLFabric *f = CXL_FABRIC(obj);

    if (changeable(f, errp)) {
        f->bulk_mode = value;
        f->has_bulk_mode = true;
    }
}

static void check_memdev(const Object *obj, const char *name, Object *value,
                         Error **errp)
{
    changeable(CXL_FABRIC(obj), errp);
}

/* Devices may outlive the object list at exit, so finalize may not come. */
static void on_exit_process(Notifier *n, void *data)
{
    CXLFabric *f = container_of(n, CXLFabric, exit);

    cxl_fabric_stop_bulk_change(f);
    cxl_fabric_unlisten(f);
    cxl_fabric_leave(f);
}

static void cxl_fabric_init(Object *obj)
{
    CXLFabric *f = CXL_FABRIC(obj);

    f->want_host = -1;
    f->self = -1;
    f->owner_fd = -1;
    qemu_mutex_init(&f->lock);
    notifier_list_init(&f->lost_notifiers);
    notifier_list_init(&f->reserve_notifiers);
    notifier_list_init(&f->answer_notifiers);
    notifier_list_init(&f->cci_notifiers);
    QTAILQ_INIT(&f->requests);
    f->host_requests = CXL_FABRIC_HOST_REQUESTS_ASK;
    QLIST_INIT(&f->peers);
    for (int kind = 0; kind < CXLF_KINDS; kind++) {
        for (int i = 0; i < CXL_FABRIC_SEGMENTS; i++) {
            f->segment[kind][i].fd = -1;
        }
    }
    f->exit.notify = on_exit_process;
    qemu_add_exit_notifier(&f->exit);
    cxl_fabric_list_add(f);
}

static void cxl_fabric_finalize(Object *obj)
{
    CXLFabric *f = CXL_FABRIC(obj);

    qemu_remove_exit_notifier(&f->exit);
    cxl_fabric_unlisten(f);
    cxl_fabric_leave(f);
    drop(f);
    QLIST_REMOVE(f, next);
    qemu_mutex_destroy(&f->lock);
    g_free(f->id);
    g_free(f->socket);
    g_free(f->topology_file);
}

static void add_properties(ObjectClass *oc)
{
    static const char *const memdev[CXLF_MAX_GFAMS] = {
        "memdev0", "memdev1", "memdev2", "memdev3",
        "memdev4", "memdev5", "memdev6", "memdev7",
    };

    object_class_property_add_str(oc, "socket", get_socket, set_socket);
    object_class_property_set_description(oc, "socket",
        "UNIX socket at which the fabric's owner listens");
    object_class_property_add_bool(oc, "listen", get_listen, set_listen);
    object_class_property_set_description(oc, "listen",
        "Own the fabric and listen at 'socket' (off: join it)");
    object_class_property_add_str(oc, "topology", get_topology,
                                  set_topology);
    object_class_property_set_description(oc, "topology",
        "Device tree blob with the topology");
    for (int i = 0; i < ARRAY_SIZE(numbers); i++) {
        object_class_property_add(oc, numbers[i].name, "uint32", get_number,
                                  set_number, NULL, &numbers[i]);
        object_class_property_set_description(oc, numbers[i].name,
                                              numbers[i].description);
    }
    object_class_property_add(oc, "precise-pages", "uint32",
                              get_precise_pages, set_precise_pages, NULL,
                              NULL);
    object_class_property_set_description(oc, "precise-pages",
        "BULK pages that all hosts together may have in lines (owner only)");
    object_class_property_add(oc, "hot", "size", get_size, set_size, NULL,
                              NULL);
    object_class_property_set_description(oc, "hot",
        "HOT bytes of each GFAM device (owner only)");
    object_class_property_add(oc, "bulk", "size", get_size, set_size, NULL,
                              (void *)1);
    object_class_property_set_description(oc, "bulk",
        "BULK bytes of each GFAM device (owner only)");
    object_class_property_add_enum(oc, "bulk-mode", "CxlFabricBulkMode",
                                   &CxlFabricBulkMode_lookup, get_bulk_mode,
                                   set_bulk_mode);
    object_class_property_set_description(oc, "bulk-mode",
        "How BULK is kept coherent at first (owner only)");
    object_class_property_add(oc, "host", "int32", get_host, set_host, NULL,
                              NULL);
    object_class_property_set_description(oc, "host",
        "Host number wished for (-1: any)");
    object_class_property_add_bool(oc, "tiers", get_tiers, set_tiers);
    object_class_property_set_description(oc, "tiers",
        "Pages can change between lines and page ownership (owner only)");
    object_class_property_add_enum(oc, "on-death", "CxlFabricOnDeath",
                                   &CxlFabricOnDeath_lookup, get_on_death,
                                   set_on_death);
    object_class_property_set_description(oc, "on-death",
        "What becomes of what a dead host had modified (owner only)");
    object_class_property_add_enum(oc, "host-requests",
                                   "CxlFabricHostRequests",
                                   &CxlFabricHostRequests_lookup,
                                   get_host_requests, set_host_requests);
    object_class_property_set_description(oc, "host-requests",
        "What hosts may ask for (owner only)");
    object_class_property_add_bool(oc, "host-managers", get_host_managers,
                                   set_host_managers);
    object_class_property_set_description(oc, "host-managers",
        "Hosts may manage their switch by its mailbox (owner only)");
    for (int i = 0; i < CXLF_MAX_GFAMS; i++) {
        object_class_property_add_link(oc, memdev[i], TYPE_MEMORY_BACKEND,
                                       offsetof(CXLFabric, memdev[0]) +
                                       i * sizeof(HostMemoryBackend *),
                                       check_memdev,
                                       OBJ_PROP_LINK_STRONG);
        object_class_property_set_description(oc, memdev[i],
            "Shared memory backend of a GFAM device (owner only)");
    }
}

static void get_counters(Object *obj, Visitor *v, const char *name,
                         void *opaque, Error **errp)
{
    cxl_fabric_visit_counters(CXL_FABRIC(obj), -1, v, name, errp);
}

static void cxl_fabric_class_init(ObjectClass *oc, CXLF_CLASS_DATA data)
{
    UserCreatableClass *ucc = USER_CREATABLE_CLASS(oc);

    ucc->complete = cxl_fabric_complete;
    ucc->can_be_deleted = cxl_fabric_can_be_deleted;
    add_properties(oc);
    object_class_property_add(oc, "counters", "CxlFabricCounters",
                              get_counters, NULL, NULL, NULL);
    object_class_property_set_description(oc, "counters",
                                          "what all hosts have counted");
}

static const TypeInfo cxl_fabric_info = {
    .name = TYPE_CXL_FABRIC,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(CXLFabric),
    .instance_init = cxl_fabric_init,
    .instance_finalize = cxl_fabric_finalize,
    .class_init = cxl_fabric_class_init,
    .interfaces = (InterfaceInfo[]) {
        { TYPE_USER_CREATABLE },
        { }
    },
};

static void cxl_fabric_register(void)
{
    type_register_static(&cxl_fabric_info);
}

type_init(cxl_fabric_register)
