package prices
import ("testing";"fmt";"time")
func TestZZ(t *testing.T){
 for _, name := range []string{"9node","seville"} {
 n:=open(t,name)
 for seed:=uint64(1);seed<=4;seed++{
 s:=New(n,Options{}); mem:=make([]float64,s.Memory()); b:=time.Now()
 for i:=0;i<12;i++{ s.Round(mem,seed,2,never); if (name=="9node" && mem[2]>17.28485848) || mem[2]>226.428746 {break} }
 fmt.Println(name,seed,mem[0],mem[2],time.Since(b)) } } }
