"""Known answers of the aggregation protocol, version 1, in pure Python.

Independent of the Swift code: every primitive is written out here from its standard and shares no
library with it. Run `python3 known_answers.py > known_answers.json`.
"""
import hashlib, hmac, struct, json
from fractions import Fraction
from math import comb
M32=0xffffffff
# ---------- primitives (pure python) ----------
def rotl(x,n): return ((x<<n)&M32)|(x>>(32-n))
def qr(s,a,b,c,d):
    s[a]=(s[a]+s[b])&M32; s[d]=rotl(s[d]^s[a],16)
    s[c]=(s[c]+s[d])&M32; s[b]=rotl(s[b]^s[c],12)
    s[a]=(s[a]+s[b])&M32; s[d]=rotl(s[d]^s[a],8)
    s[c]=(s[c]+s[d])&M32; s[b]=rotl(s[b]^s[c],7)
def chacha_block(key,ctr,nonce):
    st=[0x61707865,0x3320646e,0x79622d32,0x6b206574]+list(struct.unpack('<8I',key))+[ctr]+list(struct.unpack('<3I',nonce))
    w=st[:]
    for _ in range(10):
        qr(w,0,4,8,12);qr(w,1,5,9,13);qr(w,2,6,10,14);qr(w,3,7,11,15)
        qr(w,0,5,10,15);qr(w,1,6,11,12);qr(w,2,7,8,13);qr(w,3,4,9,14)
    return struct.pack('<16I',*[(a+b)&M32 for a,b in zip(w,st)])
def lanes(key,i0,n):
    out=[];blk=i0//16;off=i0%16
    while len(out)<n:
        out+=list(struct.unpack('<16I',chacha_block(key,blk,bytes(12))))[off:]
        off=0;blk+=1
    return out[:n]
P25519=2**255-19
def x25519(k,u):
    k=bytearray(k);k[0]&=248;k[31]&=127;k[31]|=64;k=int.from_bytes(k,'little')
    u=int.from_bytes(u,'little')&((1<<255)-1);p=P25519
    x1,x2,z2,x3,z3,sw=u,1,0,u,1,0
    for t in range(254,-1,-1):
        kt=(k>>t)&1;sw^=kt
        if sw:x2,x3,z2,z3=x3,x2,z3,z2
        sw=kt
        A=(x2+z2)%p;AA=A*A%p;B=(x2-z2)%p;BB=B*B%p;E=(AA-BB)%p;C=(x3+z3)%p;D=(x3-z3)%p
        DA=D*A%p;CB=C*B%p;x3=(DA+CB)**2%p;z3=x1*(DA-CB)**2%p;x2=AA*BB%p;z2=E*(AA+121665*E)%p
    if sw:x2,z2=x3,z3
    return (x2*pow(z2,p-2,p)%p).to_bytes(32,'little')
BASE=(9).to_bytes(32,'little')
def hkdf(salt,ikm,info,L=32):
    prk=hmac.new(salt if salt else bytes(32),ikm,hashlib.sha256).digest();t=b'';o=b'';i=1
    while len(o)<L:
        t=hmac.new(prk,t+info+bytes([i]),hashlib.sha256).digest();o+=t;i+=1
    return o[:L]
def LP(b): return struct.pack('<I',len(b))+b
def TH(label,*parts): return hashlib.blake2b(LP(label)+b''.join(LP(p) for p in parts),digest_size=32).digest()
def u32(i): return struct.pack('<I',i)
# ---------- merkle (RFC6962-style, BLAKE2b-256) ----------
def mleaf(d): return hashlib.blake2b(b'\x00'+d,digest_size=32).digest()
def mnode(a,b): return hashlib.blake2b(b'\x01'+a+b,digest_size=32).digest()
def mroot(L):
    if len(L)==1: return mleaf(L[0])
    k=1
    while k*2<len(L): k*=2
    return mnode(mroot(L[:k]),mroot(L[k:]))
# ---------- protocol helpers ----------
PFX=b'secagg/v1/'
def mask_sk(seed31): return hkdf(b'',seed31,PFX+b'mask-sk')
def session_id(mh,root): return TH(PFX+b'session',mh,root)
def pair_key(sid,u,v,sku,pku,pkv):
    lo,hi=(u,v) if u<v else (v,u); plo,phi=(pku,pkv) if u<v else (pkv,pku)
    return hkdf(sid,x25519(sku,pkv),PFX+b'pair-mask'+u32(lo)+u32(hi)+plo+phi)
def self_key(sid,u,b31): return hkdf(sid,b31,PFX+b'self-mask'+u32(u))
def perm(seed,n):
    """Fisher-Yates with 64-bit rejection sampling; words taken LE from the ChaCha20 lane stream."""
    key=hkdf(b'',seed,PFX+b'graph');pos=0;p=list(range(n))
    for i in range(n-1,0,-1):
        r=i+1;lim=(1<<64)-((1<<64)%r)
        while True:
            a,b=lanes(key,pos,2);pos+=2;x=a|(b<<32)
            if x<lim:break
        j=x%r;p[i],p[j]=p[j],p[i]
    return p
def harary(seed,n,k):
    p=perm(seed,n);inv=[0]*n
    for a,b in enumerate(p):inv[b]=a
    return [sorted(p[(inv[u]+o)%n] for o in list(range(-(k//2),0))+list(range(1,k//2+1))) for u in range(n)]
def shamir(secret_int,t,xs,drbg):
    co=[secret_int]
    for j in range(1,t):
        c=0
        while True:
            c=int.from_bytes(drbg(32),'little')&((1<<255)-1)
            if c<P25519:break
        co.append(c)
    out=[]
    for x in xs:
        y=0
        for c in reversed(co):y=(y*x+c)%P25519
        out.append(y)
    return out
def recon(pts):
    s=0
    for i,(xi,yi) in enumerate(pts):
        n=d=1
        for j,(xj,_) in enumerate(pts):
            if i!=j:n=n*xj%P25519;d=d*(xj-xi)%P25519
        s=(s+yi*n*pow(d,P25519-2,P25519))%P25519
    return s
def pack(vals,b):
    acc=0
    for i,v in enumerate(vals):acc|=(v&((1<<b)-1))<<(i*b)
    return acc.to_bytes((len(vals)*b+7)//8,'little')
class DRBG:
    def __init__(s,key):s.k=key;s.i=0
    def __call__(s,n):
        w=(n+3)//4;o=struct.pack('<%dI'%w,*lanes(s.k,s.i,w));s.i+=w;return o[:n]
def seedbytes(tag,n=32): return hashlib.blake2b(tag,digest_size=n).digest()


def lanes16(key, count):
    """The stream as 16-bit lanes: the halves of each 32-bit lane, low half first."""
    out = []
    for lane in lanes(key, 0, (count + 1) // 2):
        out += [lane & 0xffff, lane >> 16]
    return out[:count]


def masked_vectors(session, self_keys, pair_keys, plain, bits, expand):
    n, d = len(plain), len(plain[0])
    result = []
    for u in range(n):
        vector = [x + m for x, m in zip(plain[u], expand(self_keys[u], d))]
        for v in range(n):
            if v != u:
                mask = expand(pair_keys[min(u, v), max(u, v)], d)
                sign = 1 if u > v else -1
                vector = [a + sign * m for a, m in zip(vector, mask)]
        result.append([a % (1 << bits) for a in vector])
    return result


def tail(population, marked, draws, outcomes):
    """Pr[number of marked items in outcomes], exact."""
    total = sum(comb(marked, i) * comb(population - marked, draws - i) for i in outcomes)
    return str(Fraction(total, comb(population, draws)))


if __name__ == '__main__':
    V = {}
    n = 3
    V['manifest'] = 'KAT manifest v1'
    manifest_digest = TH(PFX + b'manifest', V['manifest'].encode())
    self_seeds = [seedbytes(b'b%d' % u, 31) for u in range(n)]
    mask_seeds = [seedbytes(b's%d' % u, 31) for u in range(n)]
    secrets = [mask_sk(x) for x in mask_seeds]
    keys = [x25519(x, BASE) for x in secrets]
    root = mroot([LP(u32(u)) + LP(keys[u]) for u in range(n)])
    session = session_id(manifest_digest, root)
    pairs = {(u, v): pair_key(session, u, v, secrets[u], keys[u], keys[v])
             for u in range(n) for v in range(u + 1, n)}
    selves = [self_key(session, u, self_seeds[u]) for u in range(n)]
    V['selfMaskSeeds'] = [x.hex() for x in self_seeds]
    V['maskKeySeeds'] = [x.hex() for x in mask_seeds]
    V['manifestDigest'] = manifest_digest.hex()
    V['maskKeys'] = [x.hex() for x in keys]
    V['cohortRoot'] = root.hex()
    V['session'] = session.hex()
    V['pairKey01'] = pairs[0, 1].hex()
    V['selfKey0'] = selves[0].hex()
    V['pair01Lanes32'] = lanes(pairs[0, 1], 0, 4)
    V['pair01Lanes32At1048576'] = lanes(pairs[0, 1], 1 << 20, 2)
    V['pair01Lanes16'] = lanes16(pairs[0, 1], 4)

    d = 8
    V['plain'] = [[1000 * (u + 1) + 7 * i - 20 for i in range(d)] for u in range(n)]
    wide = masked_vectors(session, selves, pairs, V['plain'], 16, lambda k, c: lanes(k, 0, c))
    narrow = masked_vectors(session, selves, pairs, V['plain'], 16, lanes16)
    twenty = masked_vectors(session, selves, pairs, V['plain'], 20, lambda k, c: lanes(k, 0, c))
    V['masked16Lanes32'] = [pack(y, 16).hex() for y in wide]
    V['masked16Lanes16'] = [pack(y, 16).hex() for y in narrow]
    V['masked20'] = [pack(y, 20).hex() for y in twenty]
    V['sumAll'] = [sum(c) for c in zip(*V['plain'])]
    V['sumWithout1'] = [a + b for a, b in zip(V['plain'][0], V['plain'][2])]

    secret = int.from_bytes(self_seeds[0] + b'\0', 'little')
    V['shamirStreamKey'] = seedbytes(b'shamir-drbg').hex()
    V['shamirT3N5'] = [y.to_bytes(32, 'little').hex()
                       for y in shamir(secret, 3, [1, 2, 3, 4, 5], DRBG(seedbytes(b'shamir-drbg')))]
    V['shamirT20N40Last'] = shamir(secret, 20, list(range(1, 41)), DRBG(seedbytes(b'shamir-drbg')))[-1] \
        .to_bytes(32, 'little').hex()
    V['graphSeed'] = seedbytes(b'graph').hex()
    V['permutation10'] = perm(seedbytes(b'graph'), 10)
    V['permutation1000Head'] = perm(seedbytes(b'graph'), 1000)[:16]
    V['ring10Neighbours4'] = harary(seedbytes(b'graph'), 10, 4)
    V['pack20'] = pack([0, 1, 2, 3, 0xfffff, 0x80000, 0x12345, 7], 20).hex()
    V['pack11'] = pack([0, 1, 2047, 1024, 5], 11).hex()
    leaves = [bytes([i]) * i for i in range(1, 12)]
    V['merkleRoots'] = [mroot(leaves[:count]).hex() for count in range(1, 12)]
    V['tails'] = {
        'Hyp(999,50,30)>=17': tail(999, 50, 30, range(17, 31)),
        'Hyp(1000,950,30)<=16': tail(1000, 950, 30, range(0, 17)),
        'Hyp(999,100,114)>=42': tail(999, 100, 114, range(42, 101)),
        'Hyp(999,899,114)<=77': tail(999, 899, 114, range(14, 78)),
    }
    print(json.dumps(V, indent=1))
