"""The movement extractor: random convolutions of the MiniRocket kind, fixed once, as ONNX nodes.

84 kernels of nine taps, six of them -1 and three of them 2, are laid over a window at several dilations, each summing a
random few of the channels. A feature is the share of moments at which a kernel's output exceeds a bias; biases are
quantiles of the outputs on unlabelled windows. Mean and standard deviation of each channel are added, since
kernels that sum to nothing do not see which way is up.

Channels are first divided by their standard deviation, so that metres per second squared and radians per second can be
summed, and rounded to whole steps. From there on all sums are of whole numbers that float32 holds exactly, and biases lie
between two of them: the shares are the same bits on every processor, in any order of summation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from edgecl.errors import DataError
from edgecl.extractor import Contract
from edgecl_export._contract import write
from edgecl_export._graph import Graph

KERNELS, TAPS = 84, 9
FEATURES_PER_KERNEL = 11
SHARES = KERNELS * FEATURES_PER_KERNEL  # 924
_STEPS = 1024  # of a channel's standard deviation
_LARGEST = 2**17  # 108 of these (nine channels, twelve a kernel) are below 2**24
_MOST_CHANNELS = 9
_CALIBRATION_WINDOWS = 256


import os
POOL=os.environ.get('IMU_POOL','all'); SCALE=os.environ.get('IMU_SCALE','std'); COLW=float(os.environ.get('IMU_COLW','1')); CEN=os.environ.get('IMU_CEN','0')=='1'; COLCEN=os.environ.get('IMU_COLCEN','0')=='1'
def _model(windows, rng):
    n,T,C=windows.shape
    std=windows.reshape(-1,C).std(0).astype(np.float64)
    mu=windows.reshape(-1,C).mean(0).astype(np.float64)
    if SCALE=='none': sc=np.full(C,_STEPS/np.sqrt((std**2).mean()))
    elif SCALE=='group': # per triple
        s=np.sqrt((std.reshape(-1,3)**2).mean(1)).repeat(3); sc=_STEPS/s
    elif SCALE=='within': sc=_STEPS/np.sqrt(windows.var(1).mean(0))
    else: sc=_STEPS/np.maximum(std,1e-9)
    dil=_dilations(T)
    g=Graph()
    scale=g.constant('scale',sc.astype(np.float32))
    sig='signal'
    if CEN: sig=g.add('Sub','signal',g.constant('mu',mu.astype(np.float32)),name='centred')
    x=g.add('Round',g.add('Mul',sig,scale,name='scaled'),name='rounded')
    x=g.add('Clip',x,g.number(-_LARGEST),g.number(_LARGEST),name='steps')
    xt=g.add('Transpose',x,name='channels_first',perm=[0,2,1])
    pass
    xs=np.clip(np.round((windows-(mu.astype(np.float32) if CEN else 0)).astype(np.float32)*sc.astype(np.float32)),-_LARGEST,_LARGEST).astype(np.float64)
    kern=-np.ones((84,9)); 
    for i,c in enumerate(combinations(range(9),3)): kern[i,list(c)]=2
    feats=[]; q0=0
    gold=(np.sqrt(5)+1)/2
    for di,(d,nf) in enumerate(dil):
        order=np.concatenate([np.arange(84)[(np.arange(84)+di)%2==0],np.arange(84)[(np.arange(84)+di)%2==1]])
        W=np.zeros((84,C,9))
        for k in range(84):
            m=min(C,_MOST_CHANNELS); nc=int(2**rng.uniform(0,np.log2(m+1))); ch=rng.choice(C,nc,replace=False)
            W[k,ch]=kern[order[k]]
        w=g.add('Cast',g.constant(f'w{di}',W.astype(np.int8)),name=f'kernels_{di}',to=TensorProto.FLOAT)
        y=g.add('Conv',xt,w,name=f'conv_{di}',dilations=[d],pads=[4*d,4*d],kernel_shape=[9])
        a,b=g.split(y,[42,42],axis=1,name=f'half_{di}')
        b=g.slice(b,4*d,T-4*d,axis=2,name=f'inner_{di}')
        pad=np.pad(xs,((0,0),(4*d,4*d),(0,0)))
        sh=np.stack([pad[:,j*d:j*d+T] for j in range(9)],-1) # n,T,C,9
        out=np.tensordot(sh,W,axes=([2,3],[1,2])) # n,T,84
        B=np.empty((84,nf))
        for k in range(84):
            o=out[:,:,k] if k<42 else out[:,4*d:T-4*d,k]
            if POOL!='all': o=o[rng.integers(n,size=int(POOL))]
            qs=((q0+np.arange(nf)+1)*gold)%1; q0+=nf
            B[k]=np.floor(np.quantile(o,qs))+.5
        for h,(t,bb) in enumerate(((a,B[:42]),(b,B[42:]))):
            u=g.add('Unsqueeze',t,g.integers(2),name=f'u{di}{h}')
            gr=g.add('Greater',u,g.constant(f'b{di}{h}',bb[:,:,None].astype(np.float32)),name=f'g{di}{h}')
            ca=g.add('Cast',gr,name=f'c{di}{h}',to=TensorProto.FLOAT)
            r=g.add('ReduceMean',ca,name=f'r{di}{h}',axes=[3],keepdims=0)
            feats.append(g.add('Reshape',r,g.integers(0,-1),name=f'f{di}{h}'))
    m=g.add('ReduceMean',x,name='mean',axes=[1],keepdims=1)
    dv=g.add('Sub',x,m,name='dev'); v=g.add('ReduceMean',g.add('Mul',dv,dv,name='dev2'),name='var',axes=[1],keepdims=1); s=g.add('Sqrt',v,name='std')
    for nm,t in (('m',m),('s',s)):
        feats.append(g.add('Reshape',g.add('Mul',t,g.number(COLW/_STEPS),name=nm+'w'),g.integers(0,-1),name=nm+'c'))
    f=g.add('Concat',*feats,name='flat',axis=1)
    g.add('Unsqueeze',f,g.integers(1),name='frames')
    return g.model(inputs={'signal':('batch',T,C)},outputs={'frames':('batch',1,SHARES+2*C)},name='imu')

def _dilations(T):
    e=np.log2((T-1)/8)
    d,c=np.unique(np.logspace(0,e,11,base=2).astype(int),return_counts=True)
    return [(int(a),int(b)) for a,b in zip(d,c)]
