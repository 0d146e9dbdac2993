import { simulate } from "conclave-mls/testing";
const [from,count]=process.argv.slice(2).map(Number);
let bad=0; const t0=performance.now(); const total={};
for(let s=from;s<from+count;s++){ const t=performance.now(); const r=await simulate({seed:s,folder:"/dev/shm"}); const ms=performance.now()-t;
 for(const k in r.counts) total[k]=(total[k]??0)+r.counts[k];
 if(count===1) console.log(r.history.join("\n"));
 if(r.problems.length){bad++; console.log("seed",s,ms.toFixed(0),r.problems.slice(0,3));} }
console.log({bad,ms:(performance.now()-t0)/count,total});
