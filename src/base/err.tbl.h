/* code, exit code of `bulkhead` commands (2 = the user's input, 3 = failed or incomplete), HTTP status */
ERR_CODE(EINVAL, 2, 400)
ERR_CODE(EBADMSG, 3, 400)    /* malformed data */
ERR_CODE(EEXIST, 2, 409)
ERR_CODE(ENOENT, 2, 404)
ERR_CODE(EACCES, 3, 403)     /* known, but not allowed */
ERR_CODE(EPERM, 3, 403)
ERR_CODE(EKEYREJECTED, 3, 401) /* not authenticated, or a signature that does not verify */
ERR_CODE(E2BIG, 3, 413)      /* over a cap */
ERR_CODE(ENOTSUP, 3, 501)
ERR_CODE(EBUSY, 3, 409)
ERR_CODE(EAGAIN, 3, 503)
ERR_CODE(ETIMEDOUT, 3, 504)
ERR_CODE(ECONNREFUSED, 3, 502)
ERR_CODE(ESTALE, 3, 409)     /* revision changed meanwhile */
