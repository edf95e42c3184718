/* PROGRAM(package, name of the file, mark, how): programs that people copy into images without a package, by what is in
 * them. The name is a str_glob(). How the version stands there:
 *
 *   AFTER   right behind the mark
 *   TEXT    the end of a text, beginning with the file name's digits: python3.11 -> "3.11.2"
 *   BUILD   a text of its own that is repeated as the beginning of the build's identity */
PROGRAM("busybox", "busybox*", "BusyBox v", AFTER)
PROGRAM("curl", "curl", "curl/", AFTER)
PROGRAM("curl", "libcurl*.so*", "libcurl/", AFTER)
PROGRAM("nginx", "nginx*", "nginx version: nginx/", AFTER)
PROGRAM("nginx", "nginx*", "nginx/", AFTER)
PROGRAM("node", "node*", "node.js/v", AFTER)
PROGRAM("node", "node*", "/node-v", AFTER)
PROGRAM("openssl", "openssl*", "OpenSSL ", AFTER)
PROGRAM("openssl", "libcrypto*.so*", "OpenSSL ", AFTER)
PROGRAM("openssl", "libssl*.so*", "OpenSSL ", AFTER)
PROGRAM("python", "python?.*", "", TEXT)
PROGRAM("python", "libpython?.*", "", TEXT)
PROGRAM("redis", "redis-server*", "", BUILD)
